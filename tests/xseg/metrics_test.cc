// SPDX-License-Identifier: Apache-2.0
#include "xseg/metrics.h"

#include <gtest/gtest.h>

#include <memory>

namespace atl {
namespace {

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
