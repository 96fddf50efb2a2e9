// SPDX-License-Identifier: Apache-2.0
//
// The errands, done while one system call fails. As in a FaultRun: an errand that fails succeeds
// when it is asked for again, or once the store was opened anew.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/peers/crash/errands.h"
#include "tests/peers/crash/fault_injector.h"
#include "tests/peers/crash/fault_run.h"

namespace atl {

class ErrandRun {
 public:
  // In `root`, which is not there yet.
  ErrandRun(RealEnv* env, std::string root, FaultInjector* injector);
  ~ErrandRun() { Close(); }

  // What is wrong, or nothing.
  std::string Play();
  std::string PlayAll() { return Play(); }
  FaultOutcome outcome() const { return outcome_; }
  const Status& heard() const { return heard_; }

 private:
  Status Open();
  void Close();
  std::string Do(const std::string& name, const std::function<Status()>& act);

  RealEnv* env_;
  std::string root_;
  FaultInjector* injector_;
  WitnessBox::Ends ends_;
  std::unique_ptr<WitnessBox> witnesses_;
  std::unique_ptr<FileStore> store_;
  bool sums_ = true;  // The store keeps checksums.
  FaultOutcome outcome_ = FaultOutcome::kNotReached;
  Status heard_;
};

}  // namespace atl
