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
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/peers/crash/errand_run.h"
#include "tests/peers/crash/fault_run.h"
#include "tests/peers/crash/source_sites.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

constexpr uint64_t kSamples = 0;
constexpr int kMostViolations = 5;

// What a file system may not be able to do. The driver then does it by itself.
struct Poor {
  const char* name;
  std::set<sys::Op> lacks;
};
const Poor kFileSystems[] = {
    {"this file system", {}},
    {"one that cannot copy, punch or tell extents",
     {sys::Op::kCopy, sys::Op::kAllocate, sys::Op::kExtents}},
};

// Null: it must be.
const char* WhyUnreached(const SourceSite& site) {
  // FailBehind fails these.
  if (site.file == "space_reserve.cc") return "only after another call has failed";
  if (site.file == "chunk_dirs.cc" && site.text.find("UnlinkAt(tmp_") != std::string::npos) {
    return "only after another call has failed";
  }
  return nullptr;
}

using Counts = std::map<FaultSite, FaultInjector::Count>;

class FaultSites : public testing::Test {
 protected:
  // Plays with one kind of run, in a place of its own.
  template <typename Run>
  FaultOutcome Fail(const FaultPlan& plan, const Poor& on,
                    std::optional<FaultPlan> then = std::nullopt) {
    FaultInjector injector(plan, then);
    injector.Lack(on.lacks);
    const sys::Watch watch(&injector);
    const std::string root = folder_.path() + "/store";
    Run run(&env_, root, &injector);
    const std::string wrong = run.Play();
    std::filesystem::remove_all(root);
    std::string what = fmt::format("{} at call {} of {}, on {}", NameOf(plan.fault), plan.call,
                                   plan.site.ToString(), on.name);
    if (then) what += fmt::format(", then {} of {}", NameOf(then->fault), then->site.ToString());
    for (const auto& [site, count] : injector.counts()) {
      if (!then && !known_.contains(site)) behind_.try_emplace(site, plan);
    }
    if (!wrong.empty()) {
      ++violations_;
      ADD_FAILURE() << what << ": " << wrong << "\nheard: " << run.heard().ToString();
    }
    if (run.outcome() <= FaultOutcome::kUnseen) return run.outcome();
    const std::string text = run.heard().ToString();
    EXPECT_TRUE(plan.fault == Fault::kIo || plan.fault == Fault::kNoSpace)
        << what << " was noticed: " << text;
    EXPECT_NE(text.find(root), std::string::npos) << what << " does not name the thing: " << text;
    return run.outcome();
  }

  template <typename Run>
  Counts CountCalls(const Poor& on) {
    FaultInjector counter;
    counter.Lack(on.lacks);
    const sys::Watch watch(&counter);
    const std::string root = folder_.path() + "/counted";
    Run run(&env_, root, &counter);
    EXPECT_EQ(run.PlayAll(), "");
    std::filesystem::remove_all(root);
    return counter.counts();
  }

  // Those sites that only another failure has led to.
  template <typename Run>
  void FailBehind(const Poor& on) {
    for (const auto& [site, first] : behind_) {
      std::string row = fmt::format("{:36} behind {} of {}:", site.ToString(), NameOf(first.fault),
                                    first.site.ToString());
      for (const Fault fault : {Fault::kIo, Fault::kNoSpace, Fault::kInterrupted}) {
        const FaultOutcome outcome = Fail<Run>(first, on, FaultPlan{.site = site, .fault = fault});
        row += fmt::format("  {}: {:9}", NameOf(fault), NameOf(outcome));
        if (violations_ >= kMostViolations) return;
      }
      std::cout << row << "\n";
    }
    std::cout << behind_.size() << " sites behind another failure, " << violations_
              << " violations\n";
    behind_.clear();
  }

  // Each site in each way; prints what has become of it.
  template <typename Run>
  void FailAll(const Counts& counts, const Poor& on) {
    const uint64_t seed = SeedOr(std::random_device{}());
    std::cout << "seed " << seed << ", on " << on.name << "\n";
    const char* text = std::getenv("ATOLL_FAULT_SAMPLES");
    const uint64_t samples = text ? std::strtoull(text, nullptr, 0) : kSamples;
    std::mt19937_64 random(seed);
    uint64_t runs = 0, noticed = 0;
    for (const auto& [site, count] : counts) {
      std::string row = fmt::format("{:36} {:6}", site.ToString(), count.calls);
      for (const Fault fault : kFaults) {
        const uint64_t all = fault == Fault::kShort ? count.long_calls : count.calls;
        FaultOutcome worst = FaultOutcome::kNotReached;
        for (uint64_t i = 0; i <= samples && all > 0; ++i) {
          const uint64_t call = i == 0 ? 1 : random() % all + 1;
          worst = std::max(worst, Fail<Run>({.site = site, .call = call, .fault = fault}, on));
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
    std::cout << counts.size() << " sites, " << runs << " faults, " << noticed
              << " of site and fault noticed, " << violations_ << " violations\n";
  }

  TempDir folder_;
  RealEnv env_;
  int violations_ = 0;
  std::set<FaultSite> known_;              // Reached where nothing fails.
  std::map<FaultSite, FaultPlan> behind_;  // Reached behind this one only.
};

TEST_F(FaultSites, OfTheStoryLoseNothingThatWasAcknowledged) {
  const Counts counts = CountCalls<FaultRun>(kFileSystems[0]);
  for (const auto& [site, count] : counts) known_.insert(site);
  FailAll<FaultRun>(counts, kFileSystems[0]);
  FailBehind<FaultRun>(kFileSystems[0]);
}

// Of those that the story does not reach.
TEST_F(FaultSites, OfTheErrandsLoseNothing) {
  Counts known = CountCalls<FaultRun>(kFileSystems[0]);
  for (const auto& [site, count] : known) known_.insert(site);
  for (const Poor& on : kFileSystems) {
    Counts counts = CountCalls<ErrandRun>(on);
    for (const auto& [site, count] : counts) known_.insert(site);
    std::erase_if(counts, [&](const auto& site) { return known.contains(site.first); });
    FailAll<ErrandRun>(counts, on);
    FailBehind<ErrandRun>(on);
    known.insert(counts.begin(), counts.end());
  }
}

// Nobody adds a call that these tests do not see.
TEST_F(FaultSites, AreAllThatTheSourcesHave) {
  std::set<std::pair<std::string, uint32_t>> reached;
  const auto add = [&](const Counts& counts) {
    for (const auto& [site, count] : counts) reached.emplace(site.file, site.line);
  };
  add(CountCalls<FaultRun>(kFileSystems[0]));
  for (const Poor& on : kFileSystems) add(CountCalls<ErrandRun>(on));
  const std::vector<SourceSite> sites = SitesOfSources(ATOLL_FILE_DRIVER);
  EXPECT_GT(sites.size(), 100u);
  size_t unreached = 0;
  for (const SourceSite& site : sites) {
    if (reached.contains({site.file, site.line})) continue;
    const char* why = WhyUnreached(site);
    if (why == nullptr) {
      ADD_FAILURE() << site.file << ":" << site.line << " is not reached: " << site.text;
    } else {
      ++unreached;
      std::cout << site.file << ":" << site.line << " " << why << "\n";
    }
  }
  std::cout << sites.size() << " sites in the sources, " << unreached << " not reached\n";
}

}  // namespace
}  // namespace atl
