// SPDX-License-Identifier: Apache-2.0
//
// What the dead leave is a note, and --repair does what the next open would do; what is somebody's
// work is left to him.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

std::string TextOf(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += finding.what + "\n";
  return text;
}

class CheckRepair : public Attack {
 protected:
  CheckReport Check(MemoryNode& node, bool repair) {
    const auto report = env_.Run(node.atoll().Check({.repair = repair}));
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : CheckReport{};
  }
  // One note that says this; its repair; and then nothing more.
  void ExpectRepaired(MemoryNode& node, const std::string& what) {
    const CheckReport found = Check(node, false);
    EXPECT_EQ(found.errors, 0u);
    ASSERT_EQ(found.notes, 1u);
    EXPECT_THAT(found.findings[0].what, HasSubstr(what));
    EXPECT_TRUE(found.findings[0].repairable);
    const CheckReport repaired = Check(node, true);
    EXPECT_EQ(repaired.repaired, 1u);
    EXPECT_EQ(repaired.errors + repaired.notes, 0u)
        << (repaired.findings.empty() ? "" : repaired.findings[0].what);
    const CheckReport after = Check(node, false);
    EXPECT_EQ(after.errors + after.notes, 0u);
    EXPECT_EQ(after.garbage.records, 0u);
  }
};

TEST_F(CheckRepair, ALockOfTheDeadIsFreed) {
  MemoryNode& first = Start();
  Hands hands = HandsOf(first);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  MemoryNode& next = KillAndStart(first);
  ExpectRepaired(next, "lock record");
  EXPECT_EQ(HandsOf(next).Read("v", 0, 4), "data");
}

TEST_F(CheckRepair, ALockOfTheLivingIsNone) {
  MemoryNode& first = Start();
  ASSERT_TRUE(HandsOf(first).Create("v", kMiB).ok());
  ASSERT_TRUE(env_.Run(first.atoll().Acquire(Hands::Ref("v"))).ok());
  MemoryNode& second = Start({.name = "b"});
  const CheckReport report = Check(second, true);
  EXPECT_EQ(report.errors + report.notes + report.repaired, 0u);
  EXPECT_TRUE(HandsOf(first).Write("v", 0, "data", true).ok());
}

TEST_F(CheckRepair, ASnapshotThatWasDecidedIsFinished) {
  MemoryNode& first = Start();
  Hands hands = HandsOf(first);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  CHECK(env_.Run(first.atoll().Release(Hands::Ref("v"))).ok());
  // It dies when the pin has been made and the header of the snapshot has not.
  int headers = 0;
  first.hooks().before = [&](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    const bool swap = call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader;
    if (swap && call.version == 0) first.store().Die();
    headers += swap ? 1 : 0;
  };
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  EXPECT_GE(headers, 2);
  first.hooks().before = nullptr;
  MemoryNode& next = KillAndStart(first);
  // Its name has no header yet, and is not to be taken away.
  MemoryNode& other = Start({.name = "b"});
  HookFilter& hooks = other.hooks();
  hooks.fail = [](const StoreCall& call) -> Status {
    const auto* key = std::get_if<RecordKey>(&call.target);
    const bool puts = call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader;
    return puts ? Status(Code::kIo, "not now") : Status();
  };
  EXPECT_THAT(TextOf(Check(other, true)), HasSubstr("not repaired: I/O error: not now"));
  hooks.fail = nullptr;
  const CheckReport found = Check(next, false);
  EXPECT_EQ(found.errors, 0u);
  bool told = false;
  for (const Finding& finding : found.findings) {
    told |= finding.what.find("unfinished: snapshot s") != std::string::npos;
  }
  EXPECT_TRUE(told);
  const CheckReport repaired = Check(next, true);
  EXPECT_EQ(repaired.errors + repaired.notes, 0u) << TextOf(repaired);
  EXPECT_EQ(HandsOf(next).Names(), (std::vector<std::string>{"s", "v"}));
  EXPECT_EQ(HandsOf(next).Read("s", 0, 4), "data");
}

TEST_F(CheckRepair, ANameWithoutAResourceIsTakenAway) {
  MemoryNode& first = Start();
  first.hooks().before = [&](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader) first.store().Die();
  };
  EXPECT_FALSE(HandsOf(first).Create("v", kMiB).ok());
  first.hooks().before = nullptr;
  MemoryNode& next = KillAndStart(first);
  ExpectRepaired(next, "its maker died");
  EXPECT_TRUE(HandsOf(next).Create("v", kMiB).ok());
}

// Whose name is taken away while he is between his steps has not made anything.
TEST_F(CheckRepair, AMakerWhoseNameIsTakenAwayHearsOfIt) {
  MemoryNode& node = Start();
  MemoryNode& other = Start({.name = "b"});
  Hands hands = HandsOf(node);
  node.hooks().stops = [](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    return call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader;
  };
  CreateSpec spec;
  spec.uuid = env_.NewUuid();
  spec.name = "v";
  spec.size = kMiB;
  const auto make = [](LocalAtoll* atoll, CreateSpec spec) -> Task<Status> {
    co_return (co_await atoll->Create(std::move(spec))).status();
  };
  const auto making = Begin(make(&node.atoll(), spec));
  ASSERT_TRUE(node.hooks().stopped.is_set());
  EXPECT_EQ(Check(other, true).repaired, 1u);
  node.hooks().go.Set();
  Await(making);
  EXPECT_FALSE(making->ok());
  EXPECT_TRUE(hands.Names().empty());
  EXPECT_EQ(Check(other, true).errors, 0u);
  EXPECT_TRUE(hands.Create("v", kMiB).ok()) << "the name is free";
}

TEST_F(CheckRepair, AVolumeInUseIsLeftAlone) {
  MemoryNode& first = Start();
  ASSERT_TRUE(HandsOf(first).Create("v", kMiB).ok());
  ASSERT_TRUE(HandsOf(first).Write("v", 0, "data", true).ok());
  const auto device = HandsOf(first).Open("v");
  const CheckReport report = Check(first, true);
  EXPECT_EQ(report.errors + report.notes + report.repaired, 0u);
  env_.Run([](Device* device) -> Task<int> {
    co_await device->Close();
    co_return 0;
  }(device.get()));
}

}  // namespace
}  // namespace atl
