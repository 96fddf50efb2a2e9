// SPDX-License-Identifier: Apache-2.0
//
// The run queue and the timers of one thread. Coroutines never resume each other across a
// suspension: what becomes ready is posted here and resumed by `RunReady`, in order, so the stack
// stays flat and logic needs no locks.
//
// Threads: each scheduler belongs to the thread that runs it; nothing here may be called from
// another. `Current()` is the one of the running thread and is set by `Scope`.
#pragma once

#include <coroutine>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace atl {

class Scheduler {
 public:
  // Makes a scheduler the current one of this thread while it lives.
  class Scope {
   public:
    explicit Scope(Scheduler* scheduler) : before_(current_) { current_ = scheduler; }
    ~Scope() { current_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Scheduler* before_;
  };

  using TimerKey = std::pair<int64_t, uint64_t>;

  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  static Scheduler& Current();

  void Post(std::coroutine_handle<> handle) { ready_.push_back(handle); }
  bool has_ready() const { return !ready_.empty(); }

  // Resumes everything that is ready now; what gets ready meanwhile waits for the next call.
  // Returns how many were resumed.
  size_t RunReady();
  // Resumes exactly one, the one at `index` (modulo the queue's length): the simulator's choice.
  bool RunOne(uint64_t index);

  // `handle` is posted by the first FireTimers at or after `deadline_ns`.
  TimerKey AddTimer(int64_t deadline_ns, std::coroutine_handle<> handle);
  // False if it has fired already.
  bool CancelTimer(TimerKey key) { return timers_.erase(key) > 0; }
  void FireTimers(int64_t now_ns);
  std::optional<int64_t> next_deadline_ns() const;

 private:
  static thread_local Scheduler* current_;

  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> running_;
  std::map<TimerKey, std::coroutine_handle<>> timers_;
  uint64_t next_timer_ = 0;
};

}  // namespace atl
