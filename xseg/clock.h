// SPDX-License-Identifier: Apache-2.0
//
// Stamps in the segment: CLOCK_BOOTTIME, the same for all processes of a host (stamp_clock.h).
#pragma once

#include <cstdint>

#include "xseg/base/stamp_clock.h"

namespace atl {

inline int64_t SegmentNowNs() { return StampNowNs(); }

// Of stamps that another process has written, which may be anything: they wrap around.
constexpr int64_t NsBetween(int64_t from_ns, int64_t to_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(to_ns) - static_cast<uint64_t>(from_ns));
}
constexpr int64_t NsAfter(int64_t from_ns, int64_t duration_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(from_ns) + static_cast<uint64_t>(duration_ns));
}

}  // namespace atl
