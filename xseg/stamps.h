// SPDX-License-Identifier: Apache-2.0
//
// Stamps in the segment (stamp_clock.h): differences and sums of what another process may have
// written.
#pragma once

#include <cstdint>

namespace atl {

// They may be anything: they wrap around.
constexpr int64_t NsBetween(int64_t from_ns, int64_t to_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(to_ns) - static_cast<uint64_t>(from_ns));
}
constexpr int64_t NsAfter(int64_t from_ns, int64_t duration_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(from_ns) + static_cast<uint64_t>(duration_ns));
}

}  // namespace atl
