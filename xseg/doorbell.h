// SPDX-License-Identifier: Apache-2.0
//
// Doorbells: a receiver that has nothing to do says so in its `sleeping` word before it sleeps and
// looks once more; a sender rings only if that word is set. So a busy pair never enters the kernel.
//
//   receiver: sleeping = kind; summary?  -> any: sleeping = 0, stay awake
//                                        -> none: wait in the kernel, then sleeping = 0
//   sender:   summary |= bit; sleeping?  -> 0: done
//                                        -> else: sleeping = 0 (exchange); ring what it said
//
// Both sides write one word and then read the other with sequential consistency, so at least one
// of them sees the other. The exchange lets exactly one of many senders enter the kernel.
//
// What if a sender dies between the exchange and the ring? Then nobody rings for what came before:
// Quarantine (reclaim.h) therefore rings everybody, whatever their word says.
//
// Two kinds of sleep: a plain thread waits on the word itself as a futex, an executor on a
// descriptor: an eventfd between peers, a socket between a server and an outside client (why not an
// eventfd: client_segment.h). The segment stores no descriptor; each process has its own set
// (segment_fds.h).
#pragma once

#include <atomic>
#include <cstdint>

#include "xseg/mailbox.h"

namespace atl {

enum class Sleep : uint32_t { kAwake = 0, kFutex = 1, kEvent = 2 };

// What to write to when a receiver sleeps in kEvent.
struct Bell {
  enum class Kind : uint8_t { kEventFd, kSocket };
  int fd = -1;  // -1: this process cannot ring it.
  Kind kind = Kind::kEventFd;
};

void RingIfAsleep(HotLine& line, Bell bell);
// Whatever its word says; for reclaim.
void RingAnyway(HotLine& line, Bell bell);

// False if something is there already: stay awake.
bool AnnounceSleep(HotLine& line, Sleep kind);
inline void AnnounceAwake(HotLine& line) {
  line.sleeping.store(static_cast<uint32_t>(Sleep::kAwake), std::memory_order_relaxed);
}

// How long to spin before sleeping: what paid off lately. Spinning that ends in work doubles the
// budget, up to the limit; spinning for nothing halves it. One thread's.
class AdaptiveSpin {
 public:
  explicit AdaptiveSpin(int64_t limit_ns) : limit_ns_(limit_ns), budget_ns_(limit_ns) {}
  int64_t budget_ns() const { return budget_ns_; }
  void Paid();
  void Wasted();

 private:
  static constexpr int64_t kLeastNs = 500;
  int64_t limit_ns_;
  int64_t budget_ns_;
};

// Waits until `line` has something: spins, then sleeps on the futex until `timeout_ns` is over
// (negative: no limit). True if there is something.
bool WaitOnFutex(HotLine& line, AdaptiveSpin& spin, int64_t timeout_ns);

}  // namespace atl
