// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/extents.h"

#include <gtest/gtest.h>

#include "kernel/nbd/limits.h"

namespace atl::nbd {
namespace {

using Extents = std::vector<DeviceExtent>;
using Status = std::vector<StatusDescriptor>;
using Plan = std::vector<ReadPiece>;
constexpr uint64_t kG = 4096;

TEST(DescribeStatus, TellsHolesAndZeroesApart) {
  const Extents extents{{{0, 10}, false, false},
                        {{10, 10}, true, true},
                        {{20, 10}, false, true},
                        {{30, 10}, true, false}};
  EXPECT_EQ(DescribeStatus({0, 40}, extents, 100), (Status{{10, 0}, {10, 3}, {10, 2}, {10, 1}}));
}

TEST(DescribeStatus, CutsToTheRange) {
  const Extents extents{{{0, 100}, true, true}, {{100, 100}, false, false}};
  EXPECT_EQ(DescribeStatus({50, 60}, extents, 100), (Status{{50, 3}, {10, 0}}));
  EXPECT_EQ(DescribeStatus({50, 50}, extents, 100), (Status{{50, 3}}));
}

TEST(DescribeStatus, JoinsNeighboursAndCountsAfterwards) {
  const Extents extents{{{0, 10}, true, true}, {{10, 10}, true, true}, {{20, 10}, false, false}};
  EXPECT_EQ(DescribeStatus({0, 30}, extents, 1), (Status{{20, 3}}));
  EXPECT_EQ(DescribeStatus({0, 30}, extents, 2), (Status{{20, 3}, {10, 0}}));
}

TEST(DescribeStatus, StopsAtAGapAndSaysNothingWithoutABeginning) {
  EXPECT_EQ(DescribeStatus({0, 30}, {{{0, 10}, true, true}, {{20, 10}, true, true}}, 9),
            (Status{{10, 3}}));
  EXPECT_TRUE(DescribeStatus({0, 30}, {{{1, 10}, true, true}}, 9).empty());
  EXPECT_TRUE(DescribeStatus({0, 30}, {}, 9).empty());
}

TEST(PlanRead, LeavesOutWhatReadsAsZeroAllocatedOrNot) {
  const Extents extents{
      {{0, kG}, true, true}, {{kG, kG}, true, false}, {{2 * kG, kG}, false, true}};
  EXPECT_EQ(PlanRead({0, 3 * kG}, extents),
            (Plan{{{0, kG}, true}, {{kG, kG}, false}, {{2 * kG, kG}, true}}));
}

TEST(PlanRead, SendsSmallHolesAsData) {
  const Extents extents{
      {{0, kG}, false, false}, {{kG, kG - 1}, true, true}, {{2 * kG - 1, 9}, false, false}};
  EXPECT_EQ(PlanRead({0, 2 * kG + 8}, extents), (Plan{{{0, 2 * kG + 8}, false}}));
}

TEST(PlanRead, TreatsWhatIsNotDescribedAsData) {
  EXPECT_EQ(PlanRead({0, 3 * kG}, {{{0, kG}, true, true}}),
            (Plan{{{0, kG}, true}, {{kG, 2 * kG}, false}}));
  EXPECT_EQ(PlanRead({5, 3 * kG}, {}), (Plan{{{5, 3 * kG}, false}}));
}

TEST(PlanRead, CoversTheRangeInAtMostItsLimitOfPieces) {
  Extents extents;
  for (uint64_t i = 0; i < 500; ++i) extents.push_back({{i * kG, kG}, i % 2 == 0, i % 2 == 0});
  const Plan plan = PlanRead({0, 500 * kG}, extents);
  EXPECT_LE(plan.size(), kMaxReadChunks);
  uint64_t at = 0;
  for (const auto& piece : plan) {
    EXPECT_EQ(piece.range.offset, at);
    at = piece.range.end();
  }
  EXPECT_EQ(at, 500 * kG);
}

}  // namespace
}  // namespace atl::nbd
