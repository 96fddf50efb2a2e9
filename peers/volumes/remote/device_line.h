// SPDX-License-Identifier: Apache-2.0
//
// Brings the requests of one device back into the order of their numbers: each waits until the one
// before it has begun.
//
// Threads: one.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>

#include "xseg/base/scheduler.h"
#include "xseg/base/status.h"
#include "xseg/mailbox.h"

namespace atl {

class DeviceLine {
 public:
  // Ends when it is this number's turn, with an error if it never will be. Whoever gets its turn
  // calls Pass and then begins at once.
  auto Turn(uint64_t sequence) { return Turner{this, sequence}; }
  // The next one is resumed when the caller suspends.
  void Pass() {
    ++next_;
    auto& waiting = waiting_[next_ % kMaxSlotsPerPort];
    if (waiting) Scheduler::Current().Post(std::exchange(waiting, {}));
  }
  // Nobody waits any more: the sender has died, or the device is closed.
  void Break() {
    broken_ = true;
    for (auto& waiting : waiting_) {
      if (waiting) Scheduler::Current().Post(std::exchange(waiting, {}));
    }
  }

 private:
  struct Turner {
    DeviceLine* line;
    uint64_t sequence;
    bool await_ready() const noexcept {
      return line->broken_ || sequence == line->next_ || !line->MayWait(sequence);
    }
    void await_suspend(std::coroutine_handle<> handle) const {
      line->waiting_[sequence % kMaxSlotsPerPort] = handle;
    }
    Status await_resume() const {
      if (line->broken_) return {Code::kUnavailable, "the device is closed"};
      if (sequence == line->next_) return {};
      return {Code::kInvalid, "a request out of any order"};
    }
  };
  // A sender has no more requests under way than it has slots, and no number twice.
  bool MayWait(uint64_t sequence) const {
    return sequence > next_ && sequence - next_ < kMaxSlotsPerPort &&
           !waiting_[sequence % kMaxSlotsPerPort];
  }

  uint64_t next_ = 0;
  bool broken_ = false;
  std::array<std::coroutine_handle<>, kMaxSlotsPerPort> waiting_{};
};

}  // namespace atl
