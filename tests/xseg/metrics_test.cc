// SPDX-License-Identifier: Apache-2.0
#include "xseg/metrics.h"

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
  histogram->Record(1);
  EXPECT_EQ(Take(*histogram).Since(snapshot).count, 1u);
}

TEST(PortTraffic, RareOpsShareTheLastClass) {
  auto traffic = std::make_unique<PortTraffic>();
  traffic->Started(14, 1);
  traffic->Started(15, 1);
  traffic->Started(60'000, 1);
  traffic->Finished(60'000, true, 500);
  const TrafficSnapshot snapshot = Take(*traffic);
  EXPECT_EQ(snapshot.requests[14], 1u);
  EXPECT_EQ(snapshot.requests[15], 2u);
  EXPECT_EQ(snapshot.errors[15], 1u);
  EXPECT_EQ(snapshot.in_flight, 2u);
}

}  // namespace
}  // namespace atl
