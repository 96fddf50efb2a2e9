// SPDX-License-Identifier: Apache-2.0
#include "xseg/doorbell.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "xseg/base/stamp_clock.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

// Not FUTEX_PRIVATE: the word is shared between processes.
void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void FutexWait(std::atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns) {
  timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, expected,
          timeout_ns < 0 ? nullptr : &limit, nullptr, 0);
}

// Neither may block nor fail: a bell that is full has been rung.
void RingBell(Bell bell) {
  if (bell.fd < 0) return;
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t put;
  if (bell.kind == Bell::Kind::kSocket) {
    put = send(bell.fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    put = write(bell.fd, &one, sizeof(one));
  }
}

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// After a while others may have this CPU: it may be the one whose answer is awaited.
bool SpinUntilAny(const HotLine& line, int64_t budget_ns) {
  constexpr int kLooksPerClock = 64;
  constexpr int64_t kAloneNs = 100 * kMicrosecond;
  const int64_t start = StampNowNs();
  while (true) {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (line.HasAny()) return true;
      Pause();
    }
    const int64_t spun_ns = StampNowNs() - start;
    if (spun_ns >= budget_ns) return false;
    if (spun_ns >= kAloneNs) sched_yield();
  }
}

}  // namespace

void RingIfAsleep(HotLine& line, Bell bell) {
  if (line.sleeping.load(std::memory_order_seq_cst) == 0) [[likely]]
    return;
  switch (static_cast<Sleep>(line.sleeping.exchange(0, std::memory_order_seq_cst))) {
    case Sleep::kFutex:
      FutexWake(line.sleeping);
      break;
    case Sleep::kEvent:
      RingBell(bell);
      break;
    default:
      break;
  }
}

void RingAnyway(HotLine& line, Bell bell) {
  line.sleeping.exchange(0, std::memory_order_seq_cst);
  FutexWake(line.sleeping);
  RingBell(bell);
}

bool AnnounceSleep(HotLine& line, Sleep kind) {
  line.sleeping.store(static_cast<uint32_t>(kind), std::memory_order_seq_cst);
  if (!line.HasAny()) return true;
  AnnounceAwake(line);
  return false;
}

void AdaptiveSpin::Paid() { budget_ns_ = std::min(limit_ns_, budget_ns_ * 2); }
void AdaptiveSpin::Wasted() {
  budget_ns_ = std::min(limit_ns_, std::max(kLeastNs, budget_ns_ / 2));
}

bool WaitOnFutex(HotLine& line, AdaptiveSpin& spin, int64_t timeout_ns) {
  if (line.HasAny()) return true;
  if (spin.budget_ns() > 0) {
    if (SpinUntilAny(line, spin.budget_ns())) {
      spin.Paid();
      return true;
    }
    spin.Wasted();
  }
  const int64_t deadline = timeout_ns < 0 ? -1 : StampNowNs() + timeout_ns;
  while (true) {
    const int64_t left = deadline < 0 ? -1 : deadline - StampNowNs();
    if (deadline >= 0 && left <= 0) return line.HasAny();
    if (!AnnounceSleep(line, Sleep::kFutex)) return true;
    FutexWait(line.sleeping, static_cast<uint32_t>(Sleep::kFutex), left);
    AnnounceAwake(line);
    if (line.HasAny()) return true;
  }
}

}  // namespace atl
