// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/extents.h"

#include "kernel/nbd/limits.h"
#include "kernel/nbd/protocol.h"

namespace atl::nbd {
namespace {

uint32_t FlagsOf(const DeviceExtent& extent) {
  return (extent.hole ? kStateHole : 0) | (extent.zero ? kStateZero : 0);
}

// Adds [.., end), or widens the piece before it if that is of the same kind.
void Append(std::vector<ReadPiece>& plan, uint64_t begin, uint64_t end, bool hole) {
  if (end <= begin) return;
  if (!plan.empty() && plan.back().hole == hole) {
    plan.back().range.length = end - plan.back().range.offset;
  } else {
    plan.push_back({{begin, end - begin}, hole});
  }
}

}  // namespace

std::vector<StatusDescriptor> DescribeStatus(ByteRange range,
                                             const std::vector<DeviceExtent>& extents,
                                             size_t limit) {
  std::vector<StatusDescriptor> out;
  uint64_t at = range.offset;
  for (const DeviceExtent& extent : extents) {
    const ByteRange part = extent.range.Intersect(range);
    if (part.offset != at || part.empty()) break;
    const auto length = static_cast<uint32_t>(part.length);
    const uint32_t flags = FlagsOf(extent);
    if (!out.empty() && out.back().flags == flags) {
      out.back().length += length;
    } else if (out.size() < limit) {
      out.push_back({length, flags});
    } else {
      break;
    }
    at = part.end();
  }
  return out;
}

std::vector<ReadPiece> PlanRead(ByteRange range, const std::vector<DeviceExtent>& extents) {
  std::vector<ReadPiece> plan;
  uint64_t at = range.offset;
  for (const DeviceExtent& extent : extents) {
    const ByteRange part = extent.range.Intersect(range);
    if (part.offset != at || part.empty()) break;
    // One piece is kept for the rest, which is then sent as data.
    if (plan.size() + 2 > kMaxReadChunks) break;
    const bool hole = extent.zero && part.length >= kMinHoleChunk;
    Append(plan, part.offset, part.end(), hole);
    at = part.end();
  }
  Append(plan, at, range.end(), false);
  return plan;
}

}  // namespace atl::nbd
