// SPDX-License-Identifier: Apache-2.0
//
// Every operation, cut off at every call that it makes to the store: before the call, or after it
// but before its answer; by the death of the node, or by power loss. Whatever is left must read as
// before the operation or as after it, the operation must be repeatable, and garbage collection
// must find nothing that it should not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::AnyOf;

struct Scenario {
  std::string name;
  // Cut off somewhere; later repeated with the same uuid.
  std::function<Status(Hands&, const Uuid&)> act;
  // The state must be the old one or the new one.
  std::function<void(Hands&)> check_either;
  // After the operation was repeated.
  std::function<void(Hands&)> check_new;
};

// v "base" with snapshot s; then v is "work" (flushed); clone c of s is "copy".
void SetUp(Hands& hands) {
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 5000, "base").ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(hands.Write("v", 5000, "work", true).ok());
  ASSERT_TRUE(hands.Clone("c", "s").ok());
  ASSERT_TRUE(hands.Write("c", 5000, "copy", true).ok());
}

void CheckOthers(Hands& hands) {
  EXPECT_EQ(hands.Read("c", 5000, 4), "copy");
  EXPECT_EQ(hands.Read("s", 5000, 4), "base");
}

bool Has(Hands& hands, const std::string& name) {
  const auto names = hands.Names();
  return std::ranges::count(names, name) > 0;
}

std::vector<Scenario> Scenarios() {
  return {
      {"create", [](Hands& h, const Uuid& id) { return h.Create("n", kMiB, id).status(); },
       [](Hands& h) {
         CheckOthers(h);
         if (Has(h, "n")) EXPECT_EQ(h.Read("n", 0, 1), std::string(1, '\0'));
       },
       [](Hands& h) { EXPECT_EQ(h.Read("n", 0, 1), std::string(1, '\0')); }},
      {"snapshot", [](Hands& h, const Uuid& id) { return h.Snap("v", "t", id).status(); },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
         if (Has(h, "t")) EXPECT_EQ(h.Read("t", 5000, 4), "work");
       },
       [](Hands& h) {
         EXPECT_TRUE(h.Write("v", 5000, "next").ok());
         EXPECT_EQ(h.Read("t", 5000, 4), "work");
         EXPECT_EQ(h.Read("v", 5000, 4), "next");
       }},
      {"clone", [](Hands& h, const Uuid& id) { return h.Clone("d", "s", 0, id).status(); },
       [](Hands& h) {
         CheckOthers(h);
         if (Has(h, "d")) EXPECT_EQ(h.Read("d", 5000, 4), "base");
       },
       [](Hands& h) {
         EXPECT_EQ(h.Read("d", 5000, 4), "base");
         EXPECT_TRUE(h.Write("d", 5000, "mine").ok());
         EXPECT_EQ(h.Read("d", 5000, 4), "mine");
         EXPECT_EQ(h.Read("s", 5000, 4), "base");
       }},
      {"rollback", [](Hands& h, const Uuid&) { return h.Rollback("v", "s"); },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_THAT(h.Read("v", 5000, 4), AnyOf("work", "base"));
       },
       [](Hands& h) { EXPECT_EQ(h.Read("v", 5000, 4), "base"); }},
      {"rename",
       [](Hands& h, const Uuid&) {
         const Status status = h.Rename("v", "w");
         return status.code() == Code::kNotFound ? OkStatus() : status;
       },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_NE(Has(h, "v"), Has(h, "w"));
         EXPECT_EQ(h.Read(Has(h, "v") ? "v" : "w", 5000, 4), "work");
       },
       [](Hands& h) {
         EXPECT_EQ(h.Read("w", 5000, 4), "work");
         EXPECT_TRUE(h.Create("v", kMiB).ok());
       }},
      {"remove",
       [](Hands& h, const Uuid&) {
         const Status status = h.Remove("v");
         return status.code() == Code::kNotFound ? OkStatus() : status;
       },
       [](Hands& h) {
         CheckOthers(h);
         if (Has(h, "v")) EXPECT_EQ(h.Read("v", 5000, 4), "work");
       },
       [](Hands& h) {
         EXPECT_FALSE(Has(h, "v"));
         EXPECT_TRUE(h.Create("v", kMiB).ok());
         EXPECT_EQ(h.Read("v", 5000, 4), std::string(4, '\0'));
       }},
      {"remove snapshot",
       [](Hands& h, const Uuid&) {
         const Status status = h.Remove("s");
         return status.code() == Code::kNotFound ? OkStatus() : status;
       },
       [](Hands& h) {
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
         EXPECT_EQ(h.Read("c", 5000, 4), "copy");
         if (Has(h, "s")) EXPECT_EQ(h.Read("s", 5000, 4), "base");
       },
       [](Hands& h) { EXPECT_FALSE(Has(h, "s")); }},
      {"shrink", [](Hands& h, const Uuid&) { return h.Resize("v", 8192); },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
       },
       [](Hands& h) {
         EXPECT_TRUE(h.Resize("v", kMiB).ok());
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
         EXPECT_EQ(h.Read("v", 8192, 4), std::string(4, '\0'));
       }},
      {"grow", [](Hands& h, const Uuid&) { return h.Resize("v", 2 * kMiB); },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
       },
       [](Hands& h) { EXPECT_EQ(h.Read("v", 2 * kMiB - 4, 4), std::string(4, '\0')); }},
      {"garbage collection", [](Hands& h, const Uuid&) { return h.Collect().status(); },
       [](Hands& h) {
         CheckOthers(h);
         EXPECT_EQ(h.Read("v", 5000, 4), "work");
       },
       [](Hands&) {}},
  };
}

enum class Cut { kKillBefore, kKillAfter, kPowerBefore, kPowerAfter };

// False once the operation ends before its `step`th call.
bool CutAt(const Scenario& scenario, Cut cut, int step) {
  SCOPED_TRACE(scenario.name + ", cut " + std::to_string(static_cast<int>(cut)) + ", step " +
               std::to_string(step));
  TestEnv env(static_cast<uint64_t>(step) * 7 + 1);
  MemoryWorld world({.seed = static_cast<uint64_t>(step)});
  const Uuid id = env.NewUuid();
  auto first = std::make_unique<MemoryNode>(&env, &world);
  const Uuid incarnation = first->incarnation();
  Hands hands(&env, &first->atoll());
  SetUp(hands);
  // Closed, so that what an operation needs to open is cut as well.
  for (const char* name : {"v", "s", "c"}) {
    EXPECT_TRUE(env.Run(first->atoll().Release(Hands::Ref(name))).ok());
  }
  int calls = 0;
  bool fired = false;
  const auto hook = [&](const StoreCall&) {
    if (++calls != step) return;
    fired = true;
    if (cut == Cut::kPowerBefore || cut == Cut::kPowerAfter) {
      world.PowerLoss(static_cast<uint64_t>(step));
    } else {
      first->store().Die();
    }
  };
  const bool before = cut == Cut::kKillBefore || cut == Cut::kPowerBefore;
  (before ? first->hooks().before : first->hooks().after) = hook;
  (void)scenario.act(hands, id);
  first->hooks().before = first->hooks().after = nullptr;
  first->Kill();
  first.reset();
  if (!fired) return false;

  MemoryNode second(&env, &world);
  EXPECT_TRUE(env.Run(second.atoll().BuryPredecessor(incarnation)).ok());
  Hands again(&env, &second.atoll());
  scenario.check_either(again);
  const auto collected = again.Collect();
  EXPECT_TRUE(collected.ok()) << collected.status().ToString();
  scenario.check_either(again);
  const Status repeated = scenario.act(again, id);
  EXPECT_TRUE(repeated.ok()) << "repeated: " << repeated.ToString();
  scenario.check_new(again);
  EXPECT_TRUE(again.Collect().ok());
  EXPECT_TRUE(second.Stop().ok());
  // Everything that is closed for good and named by nobody is gone after one more collection.
  MemoryNode third(&env, &world);
  Hands last(&env, &third.atoll());
  EXPECT_TRUE(last.Collect().ok());
  const auto left = last.Collect(true);
  EXPECT_TRUE(left.ok());
  if (left.ok()) EXPECT_EQ(left->blobs + left->logs, 0u);
  EXPECT_TRUE(third.Stop().ok());
  return true;
}

class CrashSteps : public ::testing::TestWithParam<int> {};

TEST_P(CrashSteps, LeaveTheOldStateOrTheNewOne) {
  const Scenario scenario = Scenarios()[static_cast<size_t>(GetParam())];
  int cuts = 0;
  for (const Cut cut : {Cut::kKillBefore, Cut::kKillAfter, Cut::kPowerBefore, Cut::kPowerAfter}) {
    for (int step = 1; CutAt(scenario, cut, step) && !HasFailure(); ++step) ++cuts;
    if (HasFailure()) break;
  }
  EXPECT_GE(cuts, 8) << "the operation has more calls than that";
  RecordProperty("cuts", cuts);
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashSteps,
                         ::testing::Range(0, static_cast<int>(Scenarios().size())),
                         [](const auto& info) {
                           std::string name = Scenarios()[static_cast<size_t>(info.param)].name;
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

// A rollback needs nothing finished before, by anybody: it is what a user does after a crash, also
// after one that took the current blob (`damaged`). False once the snapshot ends before its
// `step`th call.
bool RollBackAfterASnapshotCutAt(int step, bool damaged) {
  SCOPED_TRACE("step " + std::to_string(step));
  TestEnv env;
  MemoryWorld world;
  auto first = std::make_unique<MemoryNode>(&env, &world);
  const Uuid incarnation = first->incarnation();
  Hands hands(&env, &first->atoll());
  SetUp(hands);
  const Uuid volume = env.Run(first->atoll().Show(Hands::Ref("v"), false))->uuid;
  int calls = 0;
  first->hooks().after = [&](const StoreCall&) {
    if (++calls == step) first->store().Die();
  };
  (void)hands.Snap("v", "t");
  const bool fired = first->store().dead();
  first->hooks().after = nullptr;
  first->Kill();
  first.reset();
  MemoryNode second(&env, &world);
  EXPECT_TRUE(env.Run(second.atoll().BuryPredecessor(incarnation)).ok());
  Hands again(&env, &second.atoll());
  if (damaged) {
    const auto header = env.Run(ReadHeader(&second.store(), volume, ReadFor::kAct));
    EXPECT_TRUE(header.ok() && env.Run(second.store().Remove(header->header.blob())).ok());
  }
  const Status status = again.Rollback("v", "s");
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(again.Read("v", 5000, 4), "base");
  if (Has(again, "t")) EXPECT_EQ(again.Read("t", 5000, 4), "work");
  EXPECT_TRUE(second.Stop().ok());
  return fired;
}

TEST(CrashStepsAlone, ARollbackFinishesTheSnapshotThatADeadNodeHadBegun) {
  for (const bool damaged : {false, true}) {
    SCOPED_TRACE(damaged ? "damaged" : "whole");
    int step = 1;
    while (RollBackAfterASnapshotCutAt(step, damaged) && !::testing::Test::HasFailure()) ++step;
    EXPECT_GE(step, 8) << "a snapshot has more calls than that";
  }
}

}  // namespace
}  // namespace atl
