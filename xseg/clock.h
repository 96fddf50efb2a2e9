// SPDX-License-Identifier: Apache-2.0
//
// The clock of stamps in the segment: CLOCK_BOOTTIME, the same for all processes of a host, read
// without entering the kernel.
#pragma once

#include <time.h>

#include <cstdint>

namespace atl {

inline int64_t SegmentNowNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Of stamps that another process has written, which may be anything: they wrap around.
constexpr int64_t NsBetween(int64_t from_ns, int64_t to_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(to_ns) - static_cast<uint64_t>(from_ns));
}
constexpr int64_t NsAfter(int64_t from_ns, int64_t duration_ns) {
  return static_cast<int64_t>(static_cast<uint64_t>(from_ns) + static_cast<uint64_t>(duration_ns));
}

}  // namespace atl
