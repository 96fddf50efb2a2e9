// SPDX-License-Identifier: Apache-2.0
//
// How coroutines of one thread wait for each other. All of it is single-threaded; waiters are
// resumed through the scheduler, first come first served.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "xseg/base/check.h"
#include "xseg/base/scheduler.h"
#include "xseg/base/task.h"

namespace atl {

// Set once, seen by all who wait now or later; Reset makes later ones wait again.
class Event {
 public:
  bool is_set() const { return set_; }
  void Set() {
    set_ = true;
    for (auto waiter : std::exchange(waiters_, {})) Scheduler::Current().Post(waiter);
  }
  void Reset() { set_ = false; }

  bool await_ready() const noexcept { return set_; }
  void await_suspend(std::coroutine_handle<> handle) { waiters_.push_back(handle); }
  void await_resume() const noexcept {}

 private:
  bool set_ = false;
  std::vector<std::coroutine_handle<>> waiters_;
};

// Wakes those who wait now, and nobody later.
class Signal {
 public:
  void NotifyAll() {
    for (auto waiter : std::exchange(waiters_, {})) Scheduler::Current().Post(waiter);
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiters_.push_back(handle); }
  void await_resume() const noexcept {}

 private:
  std::vector<std::coroutine_handle<>> waiters_;
};

// A counted permission; `Acquire` waits in line.
class Semaphore {
 public:
  explicit Semaphore(uint64_t units) : units_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  struct Acquirer {
    Semaphore* semaphore;
    uint64_t units;
    bool await_ready() const noexcept {
      if (!semaphore->line_.empty() || semaphore->units_ < units) return false;
      semaphore->units_ -= units;
      return true;
    }
    void await_suspend(std::coroutine_handle<> handle) const {
      semaphore->line_.push_back({handle, units});
    }
    void await_resume() const noexcept {}
  };
  Acquirer Acquire(uint64_t units = 1) { return {this, units}; }
  // False if it would have to wait.
  bool TryAcquire(uint64_t units = 1) { return Acquire(units).await_ready(); }
  void Release(uint64_t units = 1) {
    units_ += units;
    while (!line_.empty() && line_.front().units <= units_) {
      units_ -= line_.front().units;
      Scheduler::Current().Post(line_.front().handle);
      line_.pop_front();
    }
  }
  uint64_t available() const { return units_; }

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    uint64_t units;
  };
  uint64_t units_;
  std::deque<Waiter> line_;
};

// Mutual exclusion across suspensions:  `auto lock = co_await mutex.Lock();`
class Mutex {
 public:
  class [[nodiscard]] Guard {
   public:
    explicit Guard(Mutex* mutex) : mutex_(mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() { Unlock(); }
    void Unlock() {
      if (mutex_) std::exchange(mutex_, nullptr)->semaphore_.Release();
    }

   private:
    Mutex* mutex_;
  };

  struct Locker : Semaphore::Acquirer {
    Mutex* mutex;
    Guard await_resume() const noexcept { return Guard(mutex); }
  };
  Locker Lock() { return {semaphore_.Acquire(), this}; }
  bool is_locked() const { return semaphore_.available() == 0; }

 private:
  Semaphore semaphore_{1};
};

// Admission: who has entered is in flight until it leaves. Closing stops admission and waits for
// those in flight; newcomers wait until the gate opens again.
//
//      open  --Close()-->  closing (waits for in_flight == 0)  -->  closed  --Open()-->  open
class Gate {
 public:
  class [[nodiscard]] Pass {
   public:
    explicit Pass(Gate* gate) : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_) gate_->Leave();
    }

   private:
    Gate* gate_;
  };

  struct Enterer {
    Gate* gate;
    bool await_ready() const noexcept {
      if (gate->closed_) return false;
      ++gate->in_flight_;
      return true;
    }
    // Open() counts those who waited before it posts them.
    void await_suspend(std::coroutine_handle<> handle) const { gate->line_.push_back(handle); }
    Pass await_resume() const noexcept { return Pass(gate); }
  };

  Enterer Enter() { return {this}; }
  Task<void> Close() {
    CHECK(!closed_) << "a gate is closed by one at a time";
    closed_ = true;
    drained_.Reset();
    if (in_flight_ > 0) co_await drained_;
  }
  void Open() {
    CHECK(closed_);
    closed_ = false;
    for (auto waiter : std::exchange(line_, {})) {
      ++in_flight_;
      Scheduler::Current().Post(waiter);
    }
  }
  bool closed() const { return closed_; }
  uint64_t in_flight() const { return in_flight_; }

 private:
  void Leave() {
    CHECK(in_flight_ > 0);
    if (--in_flight_ == 0 && closed_) drained_.Set();
  }

  bool closed_ = false;
  uint64_t in_flight_ = 0;
  Event drained_;
  std::vector<std::coroutine_handle<>> line_;
};

// Runs tasks on their own and waits for all of them. Destroyed only when all have ended.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { CHECK(running_ == 0) << "a task outlives its group"; }

  void Run(Task<void> task) {
    ++running_;
    Follow(std::move(task));
  }
  Task<void> Join() {
    while (running_ > 0) co_await idle_;
  }
  uint64_t running() const { return running_; }

 private:
  // Detached, so that nothing of it is left to run when the group is idle.
  internal::Detached Follow(Task<void> task) {
    co_await task;
    if (--running_ == 0) idle_.NotifyAll();
  }
  uint64_t running_ = 0;
  Signal idle_;
};

}  // namespace atl
