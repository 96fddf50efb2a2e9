// SPDX-License-Identifier: Apache-2.0
//
// The shape of the map tree. Positions are sub-grains (4 KiB). A leaf (level 0) has 256 of them,
// an inner node 64 children; the top node, level 5, spans 1 PiB.
#pragma once

#include <cstdint>

#include "xseg/base/units.h"

namespace atl {

inline constexpr uint64_t kLeafGrains = 256;
inline constexpr uint64_t kFanout = 64;
inline constexpr int kTopLevel = 5;
inline constexpr uint64_t kMapGrains = kMaxVolumeSize / kSubGrain;

// Sub-grains under one node of `level`.
constexpr uint64_t SpanOf(int level) { return kLeafGrains << (6 * level); }
static_assert(SpanOf(kTopLevel) == kMapGrains);

// The child of a `level` node under which `grain` lies.
constexpr uint32_t ChildOf(uint64_t grain, int level) {
  return static_cast<uint32_t>(grain / SpanOf(level - 1) % kFanout);
}

// [first, first + count) sub-grains.
struct GrainRange {
  uint64_t first = 0;
  uint64_t count = 0;
  constexpr uint64_t end() const { return first + count; }
  friend constexpr bool operator==(const GrainRange&, const GrainRange&) = default;
};

// All sub-grains that a byte range touches.
constexpr GrainRange GrainsOf(ByteRange range) {
  const ByteRange out = range.RoundOut(kSubGrain);
  return {out.offset / kSubGrain, out.length / kSubGrain};
}

}  // namespace atl
