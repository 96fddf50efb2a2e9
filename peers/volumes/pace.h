// SPDX-License-Identifier: Apache-2.0
//
// How long work in the background may hold others up: it lets everybody else run between its steps,
// and takes no more than so many bytes a second from the stores.
//
// Threads: one executor thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "xseg/base/alarm.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"

namespace atl {

class Pace {
 public:
  // `bytes_per_s` 0: as fast as the stores answer, one call at a time.
  explicit Pace(Env* env, uint64_t bytes_per_s = 0)
      : env_(env), alarm_(*env), bytes_per_s_(bytes_per_s) {}

  // After a step that has read so many bytes. Ends at once when it is cancelled.
  Task<void> Spend(uint64_t bytes) {
    if (++steps_ % kStepsPerBreath == 0) co_await Yield{};
    if (bytes_per_s_ == 0 || cancelled_) co_return;
    const int64_t now_ns = env_->BootNs();
    const double cost_ns = static_cast<double>(bytes) * kSecond / static_cast<double>(bytes_per_s_);
    // What was not used in the past is not saved up.
    due_ns_ = std::max(due_ns_, now_ns) + static_cast<int64_t>(cost_ns);
    if (due_ns_ - now_ns >= kShortestNap) co_await alarm_.Sleep(due_ns_ - now_ns);
  }

  void Cancel() {
    cancelled_ = true;
    alarm_.Ring();
  }
  bool cancelled() const { return cancelled_; }

 private:
  // Steps that wait for nothing take some microseconds each.
  static constexpr uint64_t kStepsPerBreath = 32;
  static constexpr int64_t kShortestNap = 2 * kMillisecond;

  Env* env_;
  Alarm alarm_;
  uint64_t bytes_per_s_;
  uint64_t steps_ = 0;
  int64_t due_ns_ = 0;
  bool cancelled_ = false;
};

}  // namespace atl
