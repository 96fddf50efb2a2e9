// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/latency.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

namespace atl {
namespace {

TEST(LatencyHistogram, BucketsGrowByAtMostAnEighth) {
  for (int64_t ns = 128; ns < int64_t{200} * 1'000'000'000; ns += ns / 13 + 1) {
    const int bucket = BucketOf(ns);
    EXPECT_LE(BucketFloorNs(bucket), ns);
    if (bucket == kLatencyBuckets - 1) continue;
    EXPECT_GT(BucketFloorNs(bucket + 1), ns);
    EXPECT_LE(BucketFloorNs(bucket + 1) - BucketFloorNs(bucket), BucketFloorNs(bucket) / 8);
  }
}

TEST(LatencyHistogram, EveryDurationHasABucket) {
  EXPECT_EQ(BucketOf(-5), 0);
  EXPECT_EQ(BucketOf(0), 0);
  EXPECT_EQ(BucketOf(127), 0);
  EXPECT_EQ(BucketOf(128), 1);
  EXPECT_EQ(BucketOf(std::numeric_limits<int64_t>::max()), kLatencyBuckets - 1);
  for (int bucket = 0; bucket < kLatencyBuckets; ++bucket) {
    EXPECT_EQ(BucketOf(BucketFloorNs(bucket)), bucket);
  }
}

TEST(LatencyHistogram, PercentilesAreWithinABucket) {
  auto histogram = std::make_unique<LatencyHistogram>();
  for (int64_t us = 1; us <= 1000; ++us) histogram->Record(us * 1000);
  const LatencySnapshot snapshot = Take(*histogram);
  EXPECT_EQ(snapshot.count, 1000u);
  EXPECT_EQ(snapshot.max_ns, 1'000'000u);
  EXPECT_NEAR(static_cast<double>(snapshot.PercentileNs(0.5)), 500e3, 500e3 / 8);
  EXPECT_NEAR(static_cast<double>(snapshot.PercentileNs(0.99)), 990e3, 990e3 / 8);
  EXPECT_EQ(LatencySnapshot{}.PercentileNs(0.5), 0);
}

TEST(LatencyHistogram, TheDifferenceOfTwoSnapshotsIsWhatHappenedBetween) {
  auto histogram = std::make_unique<LatencyHistogram>();
  for (int i = 0; i < 100; ++i) histogram->Record(1'000'000);
  const LatencySnapshot before = Take(*histogram);
  for (int i = 0; i < 3; ++i) histogram->Record(2000);
  const LatencySnapshot between = Take(*histogram).Since(before);
  EXPECT_EQ(between.count, 3u);
  EXPECT_EQ(between.sum_ns, 6000u);
  EXPECT_NEAR(static_cast<double>(between.PercentileNs(1)), 2000, 250);
  EXPECT_EQ(Take(*histogram).Since(Take(*histogram)).count, 0u);
  const LatencySnapshot anew = between.Since(before);
  EXPECT_EQ(anew.count, 3u) << "of a histogram that began anew";
  EXPECT_NEAR(static_cast<double>(anew.PercentileNs(0.5)), 2000, 250);
}

TEST(LatencyHistogram, TwoAreAddedBucketByBucket) {
  auto one = std::make_unique<LatencyHistogram>(), other = std::make_unique<LatencyHistogram>();
  for (int i = 0; i < 3; ++i) one->Record(1000);
  other->Record(5'000'000);
  const LatencySnapshot both = Take(*one).With(Take(*other));
  EXPECT_EQ(both.count, 4u);
  EXPECT_EQ(both.sum_ns, 5'003'000u);
  EXPECT_EQ(both.max_ns, 5'000'000u);
  EXPECT_NEAR(static_cast<double>(both.PercentileNs(0.5)), 1000, 125);
  EXPECT_NEAR(static_cast<double>(both.PercentileNs(0.9)), 5e6, 5e6 / 8);
}

}  // namespace
}  // namespace atl
