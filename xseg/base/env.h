// SPDX-License-Identifier: Apache-2.0
//
// What a peer sees of the world besides its stores: time, randomness and its own scheduler. Peers
// ask an Env and nothing else, so that the same code runs in a simulator with virtual time and a
// seed. `Executor` (executor.h) is the real one, `TestEnv` (test_env.h) the virtual one.
//
// Threads: an Env belongs to one thread, like its scheduler.
#pragma once

#include <coroutine>
#include <cstdint>

#include "xseg/base/poller.h"
#include "xseg/base/scheduler.h"
#include "xseg/base/uuid.h"

namespace atl {

class Env {
 public:
  Env() = default;
  virtual ~Env() = default;
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  // Monotonic and running on through suspend (CLOCK_BOOTTIME), ns. Leases are measured by it.
  virtual int64_t BootNs() = 0;
  // The same for measuring only, which costs less and may be off by a microsecond.
  virtual int64_t StampNs() { return BootNs(); }
  // Since 1970 UTC, ns. For people only: never compared to decide anything.
  virtual int64_t WallNs() = 0;
  virtual uint64_t Random() = 0;

  // Asked every turn until it is removed.
  virtual void AddPoller(Poller* poller) = 0;
  virtual void RemovePoller(Poller* poller) = 0;

  Uuid NewUuid() {
    const uint64_t high = Random();
    return Uuid::FromRandom(high, Random());
  }
  Scheduler& scheduler() { return scheduler_; }

  struct Sleeper {
    Env* env;
    int64_t duration_ns;
    bool await_ready() const noexcept { return duration_ns <= 0; }
    void await_suspend(std::coroutine_handle<> handle) const {
      env->scheduler_.AddTimer(env->BootNs() + duration_ns, handle);
    }
    void await_resume() const noexcept {}
  };
  // `co_await env.Sleep(5 * kMillisecond)`.
  Sleeper Sleep(int64_t duration_ns) { return {this, duration_ns}; }

 private:
  Scheduler scheduler_;
};

}  // namespace atl
