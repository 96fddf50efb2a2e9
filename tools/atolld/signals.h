// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT as calls on an executor's thread, one for each signal.
#pragma once

#include <functional>

#include "xseg/base/executor.h"
#include "xseg/base/fd.h"

namespace atl {

// Keeps both signals from interrupting; before any thread is made, as threads inherit it.
void BlockStopSignals();

// Outlives the running of the executor, and is outlived by nothing that it calls.
class StopSignals final : public IoRing::Completion {
 public:
  StopSignals(Executor& executor, std::function<void(int)> on_signal);
  void OnComplete(int result, uint32_t flags) override;

 private:
  Executor& executor_;
  std::function<void(int)> on_signal_;
  Fd fd_;
};

}  // namespace atl
