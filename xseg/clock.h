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

}  // namespace atl
