// SPDX-License-Identifier: Apache-2.0
//
// The clock of stamps: CLOCK_BOOTTIME, the same for all processes of a host, read without entering
// the kernel.
//
// Where the kernel itself counts by the processor's time stamp counter (so that it is the same on
// all CPUs, and never stops), it is counted on from the last reading by that counter, for a
// millisecond at most: a request is stamped several times on its way, and the kernel's clock costs
// three times as much. It is off by what the kernel's clock is steered by meanwhile, half a
// microsecond at most (more where the host stopped this CPU just when the rate was measured), and
// for a millisecond it does not know that the host has slept: so it is for measuring, and not for
// leases.
//
// Threads: any.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace atl {
namespace stamp_clock {

// What one thread knows: a reading of both clocks, and how they run.
struct Reading {
  uint64_t ticks = 0;
  int64_t ns = 0;
  uint64_t trusted_ticks = 0;  // For so long; 0: the rate is not known.
  uint64_t ns_per_tick = 0;    // In units of 2^-32.
};
extern thread_local constinit Reading reading;

int64_t ReadAnew();

}  // namespace stamp_clock

inline int64_t StampNowNs() {
#if defined(__x86_64__)
  const stamp_clock::Reading& reading = stamp_clock::reading;
  const uint64_t since = __rdtsc() - reading.ticks;
  if (since < reading.trusted_ticks) [[likely]] {
    return reading.ns + static_cast<int64_t>((since * reading.ns_per_tick) >> 32);
  }
#endif
  return stamp_clock::ReadAnew();
}

}  // namespace atl
