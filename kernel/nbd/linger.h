// SPDX-License-Identifier: Apache-2.0
//
// Keeps the executor awake for a while once all replies are sent, where clients answer soon: a
// client that finds the server awake need not wake it, which costs both sides more than a request.
// No system call is made meanwhile.
//
// Not while any request is being served: whoever serves it may need this CPU.
//
// Threads: of the executor, which outlives it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "xseg/base/executor.h"

namespace atl::nbd {

class Linger final : private Poller {
 public:
  explicit Linger(Executor* executor) : executor_(executor) { executor_->AddPoller(this); }
  ~Linger() override { executor_->RemovePoller(this); }
  Linger(const Linger&) = delete;
  Linger& operator=(const Linger&) = delete;

  void OnBegin() { ++in_service_; }
  void OnEnd() { --in_service_; }
  void Until(int64_t until_ns) { until_ns_ = std::max(until_ns_, until_ns); }

 private:
  bool Poll() override { return false; }
  bool PrepareSleep() override { return in_service_ > 0 || executor_->StampNs() >= until_ns_; }
  void Woken() override {}
  int doorbell_fd() const override { return -1; }

  Executor* executor_;
  uint64_t in_service_ = 0;
  int64_t until_ns_ = 0;
};

}  // namespace atl::nbd
