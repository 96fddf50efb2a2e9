// SPDX-License-Identifier: Apache-2.0
//
// An Env of virtual time and seeded randomness, for tests and the simulator. Time moves only when
// nothing is ready and no poller has anything, and then straight to the next timer.
#pragma once

#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "xseg/base/env.h"
#include "xseg/base/task.h"

namespace atl {

class TestEnv : public Env {
 public:
  explicit TestEnv(uint64_t seed = 1) : random_(seed), scope_(&scheduler()) {}

  int64_t BootNs() override { return now_ns_; }
  int64_t WallNs() override { return kEpochNs + now_ns_; }
  uint64_t Random() override { return random_(); }

  void AddPoller(Poller* poller) override { pollers_.push_back(poller); }
  void RemovePoller(Poller* poller) override { std::erase(pollers_, poller); }

  void Advance(int64_t duration_ns) { now_ns_ += duration_ns; }
  // From now on each step resumes one random ready coroutine instead of all in order.
  void ShuffleReady() { shuffle_ = true; }

  // Runs until nothing is ready and no timer is left.
  void RunUntilIdle() {
    while (Step()) {
    }
  }
  // Runs whatever becomes ready within the next `duration_ns`, which are over when it returns.
  void RunUntilIdleFor(int64_t duration_ns) {
    const int64_t end_ns = now_ns_ + duration_ns;
    while (true) {
      if (!scheduler().has_ready() && !PollAll()) {
        const auto deadline = scheduler().next_deadline_ns();
        if (!deadline || *deadline > end_ns) break;
      }
      Step();
    }
    now_ns_ = std::max(now_ns_, end_ns);
  }
  // One step: false if there was nothing to do.
  bool Step() {
    if (scheduler().has_ready()) {
      if (shuffle_) return scheduler().RunOne(random_());
      return scheduler().RunReady() > 0;
    }
    if (PollAll()) return true;
    const auto deadline = scheduler().next_deadline_ns();
    if (!deadline) return false;
    now_ns_ = std::max(now_ns_, *deadline);
    scheduler().FireTimers(now_ns_);
    return true;
  }
  // Runs `task` to its end, stepping the world until then, and returns what it yields.
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> out;
    Store(std::move(task), &out);
    while (!out && Step()) {
    }
    CHECK(out.has_value()) << "the task waits for something that never comes";
    return std::move(*out);
  }
  void Run(Task<void> task) { Run(Ended(std::move(task))); }

 private:
  static Task<bool> Ended(Task<void> task) {
    co_await task;
    co_return true;
  }
  // Detached, so that nothing of it is left to run when the outcome is seen.
  template <typename T>
  static internal::Detached Store(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await task);
  }

  bool PollAll() {
    bool any = false;
    // By number: what a poller delivers may add or remove pollers.
    for (size_t i = 0; i < pollers_.size(); ++i) any |= pollers_[i]->Poll();
    return any;
  }

  static constexpr int64_t kEpochNs = 1'700'000'000'000'000'000;
  int64_t now_ns_ = 1'000'000'000;
  bool shuffle_ = false;
  std::mt19937_64 random_;
  std::vector<Poller*> pollers_;
  Scheduler::Scope scope_;
};

}  // namespace atl
