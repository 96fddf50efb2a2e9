// SPDX-License-Identifier: Apache-2.0
//
// The story, played while one system call fails.
//
// What may become of it: nobody notices (unseen); a step ends with an error that names the thing,
// and succeeds when it is asked for again (error); a volume is read-only, with the reason, until it
// is opened anew (read-only); or the node has to be started again for the step to succeed (new
// life). Whatever it is, nothing that was acknowledged is lost, and nothing is read that was not
// written.
#pragma once

#include <string>

#include "tests/peers/crash/fault_injector.h"
#include "tests/peers/crash/story.h"

namespace atl {

enum class FaultOutcome : uint8_t { kNotReached, kUnseen, kError, kReadOnly, kNewLife };
const char* NameOf(FaultOutcome outcome);

class FaultRun {
 public:
  // In `root`, which is not there yet.
  FaultRun(RealEnv* env, std::string root, FaultInjector* injector)
      : env_(env),
        injector_(injector),
        player_(env, {.path = std::move(root), .create = true, .reserve_bytes = 2 * kMiB},
                env->NewUuid()) {}

  // What is wrong, or nothing. Ends a few steps after the fault.
  std::string Play() { return PlaySteps(false); }
  std::string PlayAll() { return PlaySteps(true); }
  FaultOutcome outcome() const { return outcome_; }
  // What the step that failed has said.
  const Status& heard() const { return heard_; }

 private:
  std::string PlaySteps(bool to_the_end);
  Status Look(Oracle::Crash crash);
  std::string Part(const Step& step, const std::function<Status()>& act);
  std::string Again(const Step& step, const std::function<Status()>& act);
  std::string BeginNewLife();
  std::string End();

  RealEnv* env_;
  FaultInjector* injector_;
  Player player_;
  Known known_;
  FaultOutcome outcome_ = FaultOutcome::kNotReached;
  Status heard_;
};

}  // namespace atl
