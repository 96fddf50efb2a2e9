// SPDX-License-Identifier: Apache-2.0
//
// Q2: names race. A maker is stopped at each call that it makes to the store; another one, who
// wants the same name, comes and goes; then the first goes on, or dies there. With and without
// garbage collection in between, which takes the tombstones that were left for the first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

Task<Status> Create(LocalAtoll* atoll, std::string name, std::string from, Uuid uuid) {
  CreateSpec spec;
  spec.uuid = uuid;
  spec.name = std::move(name);
  spec.size = from.empty() ? kMiB : 0;
  if (!from.empty()) spec.from = ResourceRef::Named(std::move(from));
  co_return (co_await atoll->Create(spec)).status();
}
Task<Status> Snap(LocalAtoll* atoll, std::string volume, std::string name, Uuid uuid) {
  SnapshotSpec spec;
  spec.uuid = uuid;
  spec.volume = ResourceRef::Named(std::move(volume));
  spec.name = std::move(name);
  co_return (co_await atoll->Snapshot(spec)).status();
}
Task<Status> Rename(LocalAtoll* atoll, std::string name, std::string next) {
  const ResourceRef ref = ResourceRef::Named(std::move(name));
  co_return (co_await atoll->Rename(ref, std::move(next))).status();
}
Task<Status> Remove(LocalAtoll* atoll, std::string name) {
  const ResourceRef ref = ResourceRef::Named(std::move(name));
  co_return co_await atoll->Remove(ref);
}
Task<void> Keep(Task<Status> task, std::optional<Status>* out) { out->emplace(co_await task); }

constexpr Uuid kFirst{{1}};
constexpr Uuid kSecond{{2}};

struct Race {
  std::string name;
  // Who is stopped, and who comes meanwhile; each wants something to be called "n".
  std::function<Task<Status>(LocalAtoll*)> first;
  std::function<Task<Status>(LocalAtoll*)> second;
};

std::vector<Race> Races() {
  const auto create = [](LocalAtoll* a) { return Create(a, "n", "", kFirst); };
  const auto other = [](LocalAtoll* a) { return Create(a, "n", "", kSecond); };
  const auto clone = [](LocalAtoll* a) { return Create(a, "n", "s", kFirst); };
  const auto snap = [](LocalAtoll* a) { return Snap(a, "v", "n", kFirst); };
  const auto rename = [](LocalAtoll* a) { return Rename(a, "v", "n"); };
  const auto rename_w = [](LocalAtoll* a) { return Rename(a, "w", "n"); };
  const auto remove = [](LocalAtoll* a) { return Remove(a, "v"); };
  return {{"two_creates", create, other},           {"create_against_rename", create, rename},
          {"clone_against_create", clone, other},   {"snapshot_against_create", snap, other},
          {"rename_against_create", rename, other}, {"two_renames", rename, rename_w},
          {"rename_against_remove", rename, remove}};
}

// What becomes of the one that was stopped: its call is made and all that follows, or not even that
// call, or that call as its last.
enum class Fate : uint8_t { kGoesOn, kDies, kDiesOneCallLater };

class NamesRace {
 public:
  NamesRace(const Race& race, bool collects, Fate fate)
      : race_(race), collects_(collects), fate_(fate) {}

  // False once the first ends before its `step`th call.
  bool StopAt(int step) {
    SetUp();
    int calls = 0;
    std::optional<Status> first;
    a_.hooks().stops = [&](const StoreCall&) { return ++calls == step; };
    Spawn(Keep(race_.first(&a_.atoll()), &first));
    while (!first && !a_.hooks().stopped.is_set() && env_.Step()) {
    }
    a_.hooks().stops = nullptr;
    const bool stopped = a_.hooks().stopped.is_set();
    Status second = stopped ? env_.Run(race_.second(&b_.atoll())) : Status(Code::kBusy, "");
    if (stopped && collects_) Collect();
    if (stopped && fate_ == Fate::kDies) a_.store().Die();
    if (stopped && fate_ == Fate::kDiesOneCallLater) {
      a_.hooks().after = [this](const StoreCall&) { a_.store().Die(); };
    }
    a_.hooks().go.Set();
    while (!first && env_.Step()) {
    }
    a_.hooks().after = nullptr;
    // What the dead say nobody hears.
    if (fate_ != Fate::kGoesOn) first = Status(Code::kUnavailable, "died");
    a_.Kill();
    EXPECT_TRUE(b_.Stop().ok());
    if (stopped) Check(*first, second);
    return stopped;
  }

 private:
  void SetUp() {
    Hands hands(&env_, &a_.atoll());
    for (const char* name : {"v", "w"}) {
      ASSERT_TRUE(hands.Create(name, kMiB).ok());
      ASSERT_TRUE(hands.Write(name, 0, name, true).ok());
    }
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    for (const char* name : {"v", "w"}) {
      ASSERT_TRUE(env_.Run(a_.atoll().Release(Hands::Ref(name))).ok());
    }
  }
  void Collect() {
    const auto report = Hands(&env_, &b_.atoll()).Collect();
    EXPECT_TRUE(report.ok()) << report.status().ToString();
  }
  void Check(const Status& first, const Status& second) {
    EXPECT_FALSE(first.ok() && second.ok() && race_.name != "rename_against_remove")
        << "both have it";
    MemoryNode c(&env_, &world_, {.name = "c"});
    Hands hands(&env_, &c.atoll());
    EXPECT_TRUE(env_.Run(c.atoll().BuryPredecessor(a_.incarnation())).ok());
    // Who opens it finishes what is pending; then nothing of losers is left.
    const bool removed = race_.name == "rename_against_remove" && second.ok();
    const std::string v = hands.Read("v", 0, 1) == "v" ? "v" : "n";
    if (!removed) EXPECT_EQ(hands.Read(v, 0, 1), "v");
    for (int i = 0; i < 2; ++i) {
      const auto report = hands.Collect();
      EXPECT_TRUE(report.ok()) << report.status().ToString();
    }
    const auto page = env_.Run(c.atoll().List({}));
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    std::set<std::string> names;
    for (const ResourceInfo& info : page->items) {
      EXPECT_TRUE(names.insert(info.name).second) << info.name << " is there twice";
      const auto shown = env_.Run(c.atoll().Show(Hands::Ref(info.name), false));
      EXPECT_TRUE(shown.ok()) << info.name << ": " << shown.status().ToString();
      if (shown.ok()) EXPECT_EQ(shown->uuid, info.uuid);
    }
    // Who said that it has the name has it.
    if (first.ok() || (second.ok() && !removed)) EXPECT_TRUE(names.contains("n"));
    if (!names.contains("n")) EXPECT_TRUE(hands.Create("n", kMiB).ok()) << "a name nobody has";
    EXPECT_EQ(hands.Read("s", 0, 1), "v");
    EXPECT_TRUE(c.Stop().ok());
  }

  const Race& race_;
  bool collects_;
  Fate fate_;
  TestEnv env_;
  MemoryWorld world_;
  MemoryNode a_{&env_, &world_, {.name = "a"}};
  MemoryNode b_{&env_, &world_, {.name = "b"}};
};

class AttackQ2 : public ::testing::TestWithParam<int> {};

TEST_P(AttackQ2, AMakerThatWasStoppedNeitherTakesANameBackNorLosesWhatItHad) {
  const Race race = Races()[static_cast<size_t>(GetParam())];
  for (const bool collects : {false, true}) {
    for (const Fate fate : {Fate::kGoesOn, Fate::kDies, Fate::kDiesOneCallLater}) {
      int step = 1;
      for (bool more = true; more && !HasFailure(); ++step) {
        SCOPED_TRACE(race.name + (collects ? ", collected" : "") + ", fate " +
                     std::to_string(static_cast<int>(fate)) + ", step " + std::to_string(step));
        more = NamesRace(race, collects, fate).StopAt(step);
      }
      EXPECT_GE(step, 6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Names, AttackQ2, ::testing::Range(0, static_cast<int>(Races().size())),
                         [](const auto& info) {
                           return Races()[static_cast<size_t>(info.param)].name;
                         });

}  // namespace
}  // namespace atl
