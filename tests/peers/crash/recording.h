// SPDX-License-Identifier: Apache-2.0
//
// A story that was played to its end, with what the driver did and what was known at each moment;
// and what becomes of a node that is started on what a crash at some moment has left.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/peers/crash/crash_disk.h"
#include "tests/peers/crash/story.h"

namespace atl {

struct Crash {
  uint64_t clock = 0;  // What had ended by then.
  bool power = false;  // The machine has lost it; else the process has died.
  Lost lost = Lost::kNothing;
  uint64_t seed = 0;
};

class Recording {
 public:
  // Plays the story in a folder below `folder`; what goes wrong is in `failure()`.
  Recording(RealEnv* env, const std::string& folder);

  const std::string& failure() const { return failure_; }
  // As if the function that is called so had made no syncs. How many there were.
  size_t LeaveOutSyncsOf(std::string_view function);
  const std::vector<DiskOp>& ops() const { return ops_; }
  const std::vector<Step>& story() const { return story_; }
  DiskImage ImageOf(const Crash& crash) const;
  // In `root`, where the image is. Says what is wrong, or nothing.
  std::string Recover(const Crash& crash, const std::string& root) const;
  // The step that was under way.
  size_t StepOf(const Crash& crash) const;
  std::string Describe(const Crash& crash) const;

 private:
  struct Moment {
    uint64_t clock;
    size_t step;
    Known known;
  };
  const Moment& MomentOf(uint64_t clock) const;
  std::string GoOn(Player& player, const Step& step, Known* known) const;

  RealEnv* env_;
  Uuid ids_;
  std::vector<Step> story_;
  std::vector<Moment> moments_;
  std::vector<DiskOp> ops_;
  std::string failure_;
};

}  // namespace atl
