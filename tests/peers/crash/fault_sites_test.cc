// SPDX-License-Identifier: Apache-2.0
//
// Each place in the file driver that makes a system call, failing there once in each way. The table
// that it prints says what becomes of it.
//
// ATOLL_FAULT_SAMPLES=N fails N more calls of each site, drawn at random; ATOLL_SEED repeats them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <set>

#include "tests/peers/crash/fault_run.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

constexpr uint64_t kSamples = 0;
constexpr int kMostViolations = 5;

class FaultSites : public testing::Test {
 protected:
  FaultOutcome Fail(const FaultPlan& plan) {
    FaultInjector injector(plan);
    const sys::Watch watch(&injector);
    const std::string root = folder_.path() + "/store";
    FaultRun run(&env_, root, &injector);
    const std::string wrong = run.Play(false);
    std::filesystem::remove_all(root);
    const std::string what =
        fmt::format("{} at call {} of {}", NameOf(plan.fault), plan.call, plan.site.ToString());
    if (!wrong.empty()) {
      ++violations_;
      ADD_FAILURE() << what << ": " << wrong << "\nheard: " << run.heard().ToString();
    }
    CheckHeard(plan, run, root, what);
    return run.outcome();
  }

  void CheckHeard(const FaultPlan& plan, const FaultRun& run, const std::string& root,
                  const std::string& what) {
    if (run.outcome() <= FaultOutcome::kUnseen) return;
    const std::string text = run.heard().ToString();
    EXPECT_TRUE(plan.fault == Fault::kIo || plan.fault == Fault::kNoSpace)
        << what << " was noticed: " << text;
    EXPECT_NE(text.find(root), std::string::npos) << what << " does not name the thing: " << text;
  }

  TempDir folder_;
  RealEnv env_;
  int violations_ = 0;
};

TEST_F(FaultSites, LoseNothingThatWasAcknowledged) {
  const uint64_t seed = SeedOr(std::random_device{}());
  std::cout << "seed " << seed << "\n";
  const char* text = std::getenv("ATOLL_FAULT_SAMPLES");
  const uint64_t samples = text ? std::strtoull(text, nullptr, 0) : kSamples;
  std::mt19937_64 random(seed);
  FaultInjector counter;
  {
    const sys::Watch watch(&counter);
    FaultRun run(&env_, folder_.path() + "/counted", &counter);
    ASSERT_EQ(run.Play(true), "");
  }
  uint64_t runs = 0, noticed = 0;
  for (const auto& [site, count] : counter.counts()) {
    std::string row = fmt::format("{:36} {:6}", site.ToString(), count.calls);
    for (const Fault fault : kFaults) {
      const uint64_t all = fault == Fault::kShort ? count.long_calls : count.calls;
      FaultOutcome worst = FaultOutcome::kNotReached;
      for (uint64_t i = 0; i <= samples && all > 0; ++i) {
        const uint64_t call = i == 0 ? 1 : random() % all + 1;
        worst = std::max(worst, Fail({.site = site, .call = call, .fault = fault}));
        ++runs;
      }
      if (all > 0) EXPECT_NE(worst, FaultOutcome::kNotReached) << site.ToString();
      noticed += worst > FaultOutcome::kUnseen;
      row += fmt::format("  {}: {:9}", NameOf(fault), NameOf(worst));
      if (violations_ >= kMostViolations) break;
    }
    std::cout << row << "\n";
    if (violations_ >= kMostViolations) break;
  }
  std::cout << counter.counts().size() << " sites, " << runs << " faults, " << noticed
            << " of site and fault noticed, " << violations_ << " violations\n";
  RecordProperty("sites", static_cast<int>(counter.counts().size()));
}

}  // namespace
}  // namespace atl
