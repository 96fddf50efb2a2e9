// SPDX-License-Identifier: Apache-2.0
//
// Files of a store are damaged behind its back, one change at a time. Each change is found: the
// store does not open and says why, or a check has an error, or a read fails. Nothing wrong is ever
// served: what is read is what was written, or an error. A change that is not found is of bytes
// that mean nothing, which the scene knew before.
//
// ATOLL_SEED repeats one change, ATOLL_CORRUPTIONS makes more or fewer.
#include "tests/peers/volumes/corruption.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

namespace atl {
namespace {

uint64_t Setting(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : fallback;
}

struct Outcome {
  std::string how;    // Empty: nothing was noticed.
  std::string words;  // What was said.
};

class Hunt {
 public:
  Hunt(Executor& executor, const CorruptionScene& scene) : executor_(executor), scene_(scene) {}

  // Damages, looks, compares.
  void Round(uint64_t seed) {
    std::mt19937_64 random(seed);
    scene_.Reset();
    const Corruption corruption = Corrupt(scene_, &random);
    SCOPED_TRACE(fmt::format("ATOLL_SEED={} {}", seed, corruption.ToString()));
    const Outcome outcome = Look();
    if (outcome.how.empty()) {
      ASSERT_NE(corruption.harmless, nullptr) << "not found";
      ++counts_[corruption.harmless];
      return;
    }
    ++counts_[outcome.how];
    ++found_;
    EXPECT_TRUE(Names(outcome.words, corruption)) << outcome.words;
  }
  void Print(const char* scene) const {
    for (const auto& [how, count] : counts_) std::printf("%s: %5d %s\n", scene, count, how.c_str());
  }
  int found() const { return found_; }

 private:
  Outcome Look() {
    auto node = FileNode::Open(executor_, scene_.work());
    if (!node.ok()) return {"found: the store is refused", node.status().ToString()};
    // As a node does that starts again on its state.
    const Status buried = (*node)->Run((*node)->atoll().BuryPredecessor(scene_.incarnation()));
    Outcome outcome;
    if (!buried.ok()) outcome = {"found: the lease of the dead node", buried.ToString()};
    const auto report = (*node)->Run((*node)->atoll().Check({}));
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    if (report.ok() && report->errors > 0) {
      outcome.how = "found: by a check";
      for (const Finding& finding : report->findings) outcome.words += finding.what + "\n";
    }
    for (const auto& [name, contents] : scene_.contents()) {
      const auto bytes = (*node)->Read(name);
      if (bytes.ok()) {
        EXPECT_TRUE(contents.Allows(*bytes)) << name << " reads as what was never written to it";
      } else if (outcome.how.empty()) {
        outcome = {"found: by a read only", bytes.status().ToString()};
      }
    }
    (void)(*node)->Stop();
    return outcome;
  }

  // Whether it is said what is damaged: the uuid, key or name of one of the files.
  static bool Names(const std::string& words, const Corruption& corruption) {
    for (const std::string& file : {corruption.file, corruption.other}) {
      if (file.empty()) continue;
      const std::filesystem::path path(file);
      std::string name = path.filename().string();
      if (file.starts_with("records/")) name = path.parent_path().filename().string();
      if (file.starts_with("logs/")) name = name.substr(2, 32);
      if (file == "ATOLL-STORE") name = "store";
      if (words.find(name) != std::string::npos) return true;
      // Uuids are written with dashes.
      if (name.size() >= 32) {
        const auto uuid = fmt::format("{}-{}-{}-{}-{}", name.substr(0, 8), name.substr(8, 4),
                                      name.substr(12, 4), name.substr(16, 4), name.substr(20, 12));
        if (words.find(uuid) != std::string::npos) return true;
      }
    }
    return false;
  }

  Executor& executor_;
  const CorruptionScene& scene_;
  std::map<std::string, int> counts_;
  int found_ = 0;
};

void HuntIn(SceneEnd end, const char* name, uint64_t first, uint64_t count) {
  Executor executor;
  const CorruptionScene scene(executor, end);
  if (::testing::Test::HasFatalFailure()) return;
  Hunt hunt(executor, scene);
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = Setting("ATOLL_SEED", 0);
    count = 1;
  } else {
    count = Setting("ATOLL_CORRUPTIONS", count);
    std::printf("%s: seeds %llu to %llu; ATOLL_SEED=N repeats one\n", name,
                static_cast<unsigned long long>(first),
                static_cast<unsigned long long>(first + count - 1));
  }
  for (uint64_t seed = first; seed < first + count; ++seed) {
    hunt.Round(seed);
    if (::testing::Test::HasFailure()) break;
  }
  hunt.Print(name);
  if (count > 100) EXPECT_GT(hunt.found() * 2, static_cast<int>(count)) << "most of it matters";
}

TEST(Corruption, OfAStoreThatWasStoppedInOrderIsFoundAndNeverServed) {
  HuntIn(SceneEnd::kStopped, "stopped", 1'000'000, 700);
}

TEST(Corruption, OfAStoreWhoseNodeWasKilledIsFoundAndNeverServed) {
  HuntIn(SceneEnd::kKilled, "killed", 2'000'000, 300);
}

// What must be seen as it is for the others to mean anything.
TEST(Corruption, WhatIsWholeIsFoundWhole) {
  for (const SceneEnd end : {SceneEnd::kStopped, SceneEnd::kKilled}) {
    Executor executor;
    const CorruptionScene scene(executor, end);
    scene.Reset();
    auto node = FileNode::Open(executor, scene.work());
    ASSERT_TRUE(node.ok()) << node.status().ToString();
    ASSERT_TRUE((*node)->Run((*node)->atoll().BuryPredecessor(scene.incarnation())).ok());
    const auto report = (*node)->Run((*node)->atoll().Check({}));
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->errors, 0u) << report->findings[0].what;
    EXPECT_GE(report->nodes, 7u);
    EXPECT_GE(report->journals, 3u);
    for (const auto& [name, contents] : scene.contents()) {
      const auto bytes = (*node)->Read(name);
      ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
      EXPECT_TRUE(*bytes == contents.now) << name;
    }
    EXPECT_TRUE((*node)->Stop().ok());
  }
}

}  // namespace
}  // namespace atl
