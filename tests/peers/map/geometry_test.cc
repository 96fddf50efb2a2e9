// SPDX-License-Identifier: Apache-2.0
#include "peers/map/geometry.h"

#include <gtest/gtest.h>

namespace atl {
namespace {

TEST(Geometry, FiveLevelsOfInnerNodesSpanAPebibyte) {
  static_assert(SpanOf(0) * kSubGrain == kMiB);
  static_assert(SpanOf(1) * kSubGrain == 64 * kMiB);
  static_assert(SpanOf(5) * kSubGrain == kPiB);
}

TEST(Geometry, ChildrenLeadFromTheTopToTheLeafOfAGrain) {
  for (const uint64_t grain :
       {uint64_t{0}, uint64_t{255}, uint64_t{256}, uint64_t{123456789}, kMapGrains - 1}) {
    uint64_t first = 0;
    for (int level = kTopLevel; level > 0; --level) {
      const uint32_t child = ChildOf(grain, level);
      ASSERT_LT(child, kFanout);
      first += child * SpanOf(level - 1);
    }
    EXPECT_EQ(first, grain / kLeafGrains * kLeafGrains);
  }
}

TEST(Geometry, BytesTouchWholeGrains) {
  static_assert(GrainsOf({0, 1}) == GrainRange{0, 1});
  static_assert(GrainsOf({4095, 2}) == GrainRange{0, 2});
  static_assert(GrainsOf({8192, 4096}) == GrainRange{2, 1});
  static_assert(GrainsOf({kPiB - 1, 1}) == GrainRange{kMapGrains - 1, 1});
}

}  // namespace
}  // namespace atl
