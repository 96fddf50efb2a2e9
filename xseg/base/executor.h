// SPDX-License-Identifier: Apache-2.0
//
// The real Env: one thread that runs coroutines over one io_uring until it is stopped.
//
//   Executor executor;
//   Spawn(Serve(executor));         // from the thread that calls Run
//   executor.Run();                 // until Stop()
//
// A turn of its loop resumes what is ready, fires timers, asks the pollers (mailboxes in shared
// memory), submits and reaps. With nothing to do it spins for `spin_ns`, then sleeps in the kernel;
// an idle executor uses no CPU.
//
// Where reads and writes of files are under way and such waits were short lately, it looks again
// and again for a while before it sleeps: to sleep and be woken costs more than a fast disk takes.
// With many of them under way, that are many requests' time, it does so for longer. Whoever else
// wants its CPU gets it meanwhile.
//
// `Offload(f)` runs a blocking function on one of a few helper threads and yields its result; for
// system calls that have no asynchronous form and are never on the path of an I/O.
//
// Threads: everything but `Stop` is for the executor's own thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "xseg/base/env.h"
#include "xseg/base/io_ring.h"
#include "xseg/base/poller.h"
#include "xseg/base/stamp_clock.h"
#include "xseg/base/task.h"

namespace atl {

class OffloadPool;

class Executor final : public Env {
 public:
  struct Options {
    unsigned ring_entries = 1024;
    int64_t spin_ns = 0;
    // 0: offloaded functions run on the executor's own thread, for tests in which all that happens
    // shall happen in the same order each time.
    int offload_threads = 2;
  };
  Executor() : Executor(Options{}) {}
  explicit Executor(Options options);
  ~Executor() override;

  int64_t BootNs() override;
  int64_t StampNs() override { return StampNowNs(); }
  int64_t WallNs() override;
  uint64_t Random() override { return random_(); }
  IoRing& ring() { return ring_; }

  void AddPoller(Poller* poller) override;
  void RemovePoller(Poller* poller) override;

  // Runs until Stop. What is still suspended then stays suspended.
  void Run();
  // From any thread or a signal handler.
  void Stop();
  // Runs until `task` has ended and returns what it yields.
  template <typename T>
  T RunUntilDone(Task<T> task) {
    std::optional<T> out;
    Keep(std::move(task), &out);
    while (!out) Turn();
    return std::move(*out);
  }
  void RunUntilDone(Task<void> task) {
    bool done = false;
    Mark(std::move(task), &done);
    while (!done) Turn();
  }

  template <typename F>
  Task<std::invoke_result_t<F>> Offload(F function) {
    using T = std::invoke_result_t<F>;
    if constexpr (std::is_void_v<T>) {
      const std::function<void()> work = std::move(function);
      co_await OffloadAwaiter{this, &work};
    } else {
      std::optional<T> out;
      const std::function<void()> work = [&] { out.emplace(function()); };
      co_await OffloadAwaiter{this, &work};
      co_return std::move(*out);
    }
  }

 private:
  class Doorbell;
  class Wakeup;
  struct OffloadAwaiter {
    Executor* executor;
    const std::function<void()>* work;
    bool await_ready() const;
    void await_suspend(std::coroutine_handle<> handle) const;
    void await_resume() const noexcept {}
  };
  // Detached themselves, so that no frame is left over when the loop ends.
  template <typename T>
  static internal::Detached Keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await task);
  }
  static internal::Detached Mark(Task<void> task, bool* done) {
    co_await task;
    *done = true;
  }
  void Turn();
  bool PollAll();
  void SleepUntilWork();
  // From 50 us, or 1 ms, down to an eighth, and then none.
  static constexpr unsigned kNoPatience = 4;
  int64_t FilePatienceNs() const;
  bool AwaitsFiles();

  Scheduler::Scope scope_;
  Options options_;
  IoRing ring_;
  std::mt19937_64 random_;
  std::vector<Poller*> pollers_;
  std::atomic<bool> stop_{false};
  int64_t last_work_ns_ = 0;
  unsigned file_patience_halved_ = kNoPatience;  // How often.
  int64_t files_awaited_since_ns_ = 0;           // 0: they are not.
  uint64_t files_done_then_ = 0;
  int turns_without_ring_ = 0;
  int64_t last_ring_ns_ = 0;
  std::vector<std::unique_ptr<Doorbell>> doorbells_;
  std::unique_ptr<Wakeup> wakeup_;
  std::unique_ptr<OffloadPool> offload_;  // Null without threads.
};

}  // namespace atl
