// SPDX-License-Identifier: Apache-2.0
//
// Each operation on a store of files, cut off after each call that the driver makes to the file
// system: by the death of the process, and by a power loss that takes nothing, all that it may, or
// a part that is drawn at random. From each of these states a node starts, shows what was
// acknowledged and flushed, does what was cut short again, and has no garbage left.
//
// By itself it takes one call in a few, and draws one state there. ATOLL_CRASH_SAMPLES=N takes all
// calls, and draws N states at each; ATOLL_SEED repeats what is drawn.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "tests/peers/crash/recording.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

// Of so many calls one is taken.
constexpr uint64_t kTakenOf = 5;
// After so many violations no more are looked for.
constexpr uint64_t kMostViolations = 3;

// Memory is as good as a disk for what is only looked at.
const char* Folder() { return std::filesystem::exists("/dev/shm") ? "/dev/shm" : nullptr; }

class CrashStates : public testing::Test {
 protected:
  CrashStates() : recording_(&env_, folder_.path()) {}

  // What is wrong with one state; nothing, too, if it was seen already.
  std::string Visit(const Recording& recording, const Crash& crash) {
    const DiskImage image = recording.ImageOf(crash);
    const size_t step = recording.StepOf(crash);
    if (!seen_.insert({image.Hash(), step * 2 + crash.power}).second) return {};
    ++states_;
    const std::string root = folder_.path() + "/state";
    std::filesystem::create_directory(root);
    image.WriteTo(root);
    std::string wrong = recording.Recover(crash, root);
    std::filesystem::remove_all(root);
    return wrong;
  }
  void Expect(const Crash& crash) {
    const std::string wrong = Visit(recording_, crash);
    if (wrong.empty()) return;
    ++violations_;
    ADD_FAILURE() << wrong << "\n" << recording_.Describe(crash);
  }

  TempDir folder_{Folder()};
  RealEnv env_;
  const Recording recording_;
  std::set<std::pair<uint64_t, size_t>> seen_;
  uint64_t states_ = 0;
  uint64_t violations_ = 0;
};

TEST_F(CrashStates, ShowWhatWasAcknowledgedAndFlushed) {
  const uint64_t seed = SeedOr(std::random_device{}());
  std::cout << "seed " << seed << "\n";
  const char* text = std::getenv("ATOLL_CRASH_SAMPLES");
  const uint64_t taken_of = text ? 1 : kTakenOf;
  const uint64_t samples = text ? std::strtoull(text, nullptr, 0) : 1;
  ASSERT_EQ(recording_.failure(), "");
  std::mt19937_64 random(seed);
  uint64_t cuts = 0;
  for (const DiskOp& op : recording_.ops()) {
    if (random() % taken_of != 0) continue;
    ++cuts;
    const uint64_t clock = op.ended;
    Expect({.clock = clock});
    Expect({.clock = clock, .power = true});
    Expect({.clock = clock, .power = true, .lost = Lost::kAllUnsynced});
    for (uint64_t i = 0; i < samples; ++i) {
      const Crash crash{
          .clock = clock, .power = true, .lost = Lost::kSomeUnsynced, .seed = random()};
      Expect(crash);
    }
    if (violations_ >= kMostViolations) break;
  }
  std::cout << recording_.story().size() << " steps, " << recording_.ops().size() << " calls, "
            << states_ << " states at " << cuts << " of them, " << violations_ << " violations\n";
  RecordProperty("states", static_cast<int>(states_));
}

// The test itself: the record is the same, but a sync in it is as if it had not been made.
TEST_F(CrashStates, AreWrongWhereASyncIsLeftOut) {
  ASSERT_EQ(recording_.failure(), "");
  for (const char* function : {"LinkTemp", "Settle", "SyncEntries", "SyncFiles", "LogSet::Sync"}) {
    Recording without = recording_;
    ASSERT_GT(without.LeaveOutSyncsOf(function), 0u) << function;
    seen_.clear();
    states_ = 0;
    std::string wrong;
    for (const DiskOp& op : without.ops()) {
      wrong = Visit(without, {.clock = op.ended, .power = true, .lost = Lost::kAllUnsynced});
      if (!wrong.empty()) break;
    }
    EXPECT_NE(wrong, "") << function;
    std::cout << "without the syncs of " << function << ", state " << states_ << ": " << wrong
              << "\n";
  }
}

}  // namespace
}  // namespace atl
