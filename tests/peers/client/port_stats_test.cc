// SPDX-License-Identifier: Apache-2.0
#include "peers/client/port_stats.h"

#include <gtest/gtest.h>

#include <memory>

#include "peers/codec.h"
#include "peers/ops.h"

namespace atl {
namespace {

TEST(PortStats, CarryAHistogramOverTheWire) {
  const auto histogram = std::make_unique<LatencyHistogram>();
  for (int64_t ns = 1; ns < int64_t{1} << 40; ns *= 3) histogram->Record(ns);
  const LatencySnapshot snapshot = Take(*histogram);
  PortStats row;
  row.SetLatency(snapshot);
  const auto got = DecodeMessage<PortStats>(EncodeMessage(row));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const LatencySnapshot back = got->Latency();
  EXPECT_EQ(back.buckets, snapshot.buckets);
  EXPECT_EQ(back.count, snapshot.count);
  EXPECT_EQ(back.max_ns, snapshot.max_ns);
}

TEST(PortStats, BucketsThatThereAreNotAreLeftOut) {
  PortStats row;
  row.latency = {{.bucket = kLatencyBuckets, .count = 7}, {.bucket = 65535, .count = 7}};
  EXPECT_EQ(row.Latency().count, 0u);
  row.latency.push_back({.bucket = kLatencyBuckets - 1, .count = 1});
  EXPECT_EQ(row.Latency().count, 1u);
}

}  // namespace
}  // namespace atl
