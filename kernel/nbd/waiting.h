// SPDX-License-Identifier: Apache-2.0
//
// Two small ways to wait for which one coroutine at a time is enough; neither allocates.
//
// Threads: of one executor.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include "xseg/base/check.h"
#include "xseg/base/env.h"
#include "xseg/base/scheduler.h"

namespace atl::nbd {

// Wakes who waits now. It is not remembered: whoever waits looks at its condition before.
class Waker {
 public:
  void Wake() {
    if (waiter_) Scheduler::Current().Post(std::exchange(waiter_, {}));
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    CHECK(!waiter_) << "one waits at a time";
    waiter_ = handle;
  }
  void await_resume() const noexcept {}

 private:
  std::coroutine_handle<> waiter_;
};

// A sleep that can be cut short.
class Alarm {
 public:
  explicit Alarm(Env* env) : env_(env) {}

  struct Sleeper {
    Alarm* alarm;
    int64_t until_ns;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const {
      CHECK(!alarm->waiter_) << "one waits at a time";
      alarm->waiter_ = handle;
      alarm->cancelled_ = false;
      alarm->key_ = alarm->env_->scheduler().AddTimer(until_ns, handle);
    }
    bool await_resume() const noexcept {
      alarm->waiter_ = {};
      return !alarm->cancelled_;
    }
  };
  // True when it is `until_ns` (of Env::BootNs), false if it was cancelled before.
  Sleeper Until(int64_t until_ns) { return {this, until_ns}; }
  void Cancel() {
    if (!waiter_ || !env_->scheduler().CancelTimer(key_)) return;
    cancelled_ = true;
    env_->scheduler().Post(waiter_);
  }

 private:
  Env* env_;
  Scheduler::TimerKey key_;
  std::coroutine_handle<> waiter_;
  bool cancelled_ = false;
};

}  // namespace atl::nbd
