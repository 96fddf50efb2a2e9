// SPDX-License-Identifier: Apache-2.0
//
// What `Device::Extents` says, in NBD's terms: descriptors of a block status reply, and the plan of
// a read that sends no holes. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/nbd/reply.h"
#include "peers/client/device.h"
#include "xseg/base/units.h"

namespace atl::nbd {

// Consecutive pieces of `range` from its start, neighbours of one kind joined; at most `limit`, and
// exactly one that stays inside of the range if `limit` is 1. Empty only if `extents` do not begin
// where the range does.
std::vector<StatusDescriptor> DescribeStatus(ByteRange range,
                                             const std::vector<DeviceExtent>& extents,
                                             size_t limit);

struct ReadPiece {
  ByteRange range;
  bool hole = false;

  friend bool operator==(const ReadPiece&, const ReadPiece&) = default;
};
// Covers `range` in order. What is known to read as zero is a hole here, allocated or not
// ("Structured reply types": it need not be one on the medium), and the rest is data; holes shorter
// than kMinHoleChunk and whatever lies beyond kMaxReadChunks pieces are data too.
std::vector<ReadPiece> PlanRead(ByteRange range, const std::vector<DeviceExtent>& extents);

}  // namespace atl::nbd
