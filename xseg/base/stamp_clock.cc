// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/stamp_clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <string_view>

#include "xseg/base/fd.h"

namespace atl::stamp_clock {

thread_local constinit Reading reading;

namespace {

// The rate is measured over this, at least; what is older than the most is not measured by: the
// host may have slept.
constexpr int64_t kLeastMeasuredNs = 10'000'000;
constexpr int64_t kMostMeasuredNs = 10'000'000'000;
constexpr int64_t kTrustedNs = 1'000'000;

int64_t BootNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

#if defined(__x86_64__)

bool KernelCountsByTicks() {
  const Fd fd(open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                   O_RDONLY | O_CLOEXEC));
  char name[8] = {};
  if (!fd.valid() || read(fd.get(), name, sizeof(name) - 1) <= 0) return false;
  return std::string_view(name) == "tsc\n";
}

// Both at one moment: of a few tries the one that took least.
Reading ReadBoth() {
  constexpr int kTries = 3;
  Reading best;
  uint64_t least = ~0ull;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = __rdtsc();
    const int64_t ns = BootNs();
    const uint64_t took = __rdtsc() - before;
    if (took >= least) continue;
    least = took;
    best.ticks = before + took / 2;
    best.ns = ns;
  }
  return best;
}

#endif

}  // namespace

int64_t ReadAnew() {
#if defined(__x86_64__)
  static const bool by_ticks = KernelCountsByTicks();
  thread_local Reading measured_from;
  if (!by_ticks) return BootNs();
  Reading now = ReadBoth();
  const int64_t took_ns = now.ns - measured_from.ns;
  const uint64_t took_ticks = now.ticks - measured_from.ticks;
  if (measured_from.ns == 0 || took_ns > kMostMeasuredNs || now.ticks <= measured_from.ticks) {
    measured_from = now;
  } else if (took_ns >= kLeastMeasuredNs) {
    const auto rate =
        static_cast<uint64_t>((static_cast<unsigned __int128>(took_ns) << 32) / took_ticks);
    // It never changes: then the host has slept meanwhile, and it is measured anew.
    const uint64_t known = reading.ns_per_tick;
    const uint64_t off = rate > known ? rate - known : known - rate;
    reading.ns_per_tick = known == 0 || off <= known / 1024 ? rate : 0;
    measured_from = now;
  }
  now.ns_per_tick = reading.ns_per_tick;
  if (now.ns_per_tick != 0) {
    now.trusted_ticks = (static_cast<unsigned __int128>(kTrustedNs) << 32) / now.ns_per_tick;
  }
  reading = now;
  return now.ns;
#else
  return BootNs();
#endif
}

}  // namespace atl::stamp_clock
