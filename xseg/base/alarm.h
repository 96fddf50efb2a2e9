// SPDX-License-Identifier: Apache-2.0
//
// A sleep that can be cut short:  `co_await alarm.Sleep(kSecond)`  ends after a second, or when
// somebody calls Ring. One sleeper at a time; belongs to one thread.
#pragma once

#include <coroutine>
#include <cstdint>

#include "xseg/base/check.h"
#include "xseg/base/env.h"

namespace atl {

class Alarm {
 public:
  explicit Alarm(Env& env) : env_(env) {}

  struct Sleeper {
    Alarm* alarm;
    int64_t duration_ns;
    bool await_ready() const noexcept { return duration_ns <= 0; }
    void await_suspend(std::coroutine_handle<> handle) const { alarm->Set(duration_ns, handle); }
    void await_resume() const noexcept { alarm->handle_ = {}; }
  };
  Sleeper Sleep(int64_t duration_ns) { return {this, duration_ns}; }

  void Ring() {
    if (handle_ && env_.scheduler().CancelTimer(key_)) env_.scheduler().Post(handle_);
  }

 private:
  void Set(int64_t duration_ns, std::coroutine_handle<> handle) {
    CHECK(!handle_) << "an alarm has one sleeper";
    handle_ = handle;
    key_ = env_.scheduler().AddTimer(env_.BootNs() + duration_ns, handle);
  }

  Env& env_;
  std::coroutine_handle<> handle_;
  Scheduler::TimerKey key_;
};

}  // namespace atl
