// SPDX-License-Identifier: Apache-2.0
//
// Attacks by removals: of what somebody is about to open, and of snapshots that an operation which
// was cut short still speaks of.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;
using AttackRemoval = Attack;

// R5: the node dies between the two steps of a rollback, then the snapshot goes.
TEST_F(AttackRemoval, R5ARollbackThatWasCutShortIsTakenBackWithItsSnapshot) {
  MemoryNode& dying = Start();
  Hands hands = HandsOf(dying);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "then").ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(hands.Write("v", 0, "now!", true).ok());
  ASSERT_TRUE(env_.Run(dying.atoll().Release(Hands::Ref("v"))).ok());
  DieAfterSwaps(dying, 1);
  EXPECT_FALSE(hands.Rollback("v", "s").ok());
  dying.hooks().after = nullptr;

  MemoryNode& next = KillAndStart(dying);
  Hands again = HandsOf(next);
  ASSERT_TRUE(again.Remove("s").ok());
  ASSERT_TRUE(again.Collect().ok());
  EXPECT_EQ(again.Read("v", 0, 4), "now!");
}

// R6: the node dies between the header of a clone and the second look, then the snapshot goes.
TEST_F(AttackRemoval, R6ACloneThatWasCutShortGoesWithItsSnapshot) {
  MemoryNode& dying = Start();
  Hands hands = HandsOf(dying);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  DieAfterSwaps(dying, 1);
  EXPECT_FALSE(hands.Clone("c", "s").ok());
  dying.hooks().after = nullptr;

  MemoryNode& next = KillAndStart(dying);
  Hands again = HandsOf(next);
  ASSERT_TRUE(again.Remove("s").ok());
  ASSERT_TRUE(again.Collect().ok());
  EXPECT_THAT(again.Read("c", 0, 4), HasSubstr("a snapshot that was removed"));
  ASSERT_TRUE(again.Collect().ok());
  EXPECT_EQ(again.Names(), std::vector<std::string>{"v"});
  EXPECT_EQ(again.Read("v", 0, 4), "data");
}

// S2: a snapshot that was removed comes back when its volume, which died before it had cleared its
// pending operation, is opened again.
TEST_F(AttackRemoval, S2ARemovedSnapshotDoesNotComeBack) {
  MemoryNode& dying = Start();
  Hands hands = HandsOf(dying);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data").ok());
  // When it has put the snapshot's header: the pin, then that.
  ASSERT_TRUE(env_.Run(dying.atoll().Acquire(Hands::Ref("v"))).ok());
  DieAfterSwaps(dying, 2);
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  dying.hooks().after = nullptr;

  MemoryNode& next = KillAndStart(dying);
  Hands again = HandsOf(next);
  ASSERT_EQ(again.Read("s", 0, 4), "data");
  ASSERT_TRUE(env_.Run(next.atoll().Release(Hands::Ref("s"))).ok());
  ASSERT_TRUE(again.Remove("s").ok());
  ASSERT_TRUE(again.Collect().ok());
  ASSERT_TRUE(again.Write("v", 0, "more").ok());  // Opens v, which settles what is pending.
  EXPECT_EQ(again.Names(), std::vector<std::string>{"v"});
  EXPECT_THAT(again.Read("s", 0, 4), HasSubstr("not found"));
}

// Q3: somebody opens what is being removed, or has been.
TEST_F(AttackRemoval, Q3NobodyGetsIntoWhatIsBeingRemoved) {
  MemoryNode& remover = Start({.name = "remover"});
  MemoryNode& other = Start({.name = "other"});
  Hands hands = HandsOf(remover);
  Hands elsewhere = HandsOf(other);
  const auto volume = hands.Create("v", kMiB);
  ASSERT_TRUE(volume.ok());
  const auto snapshot = hands.Snap("v", "s");
  ASSERT_TRUE(snapshot.ok());
  for (const ResourceInfo& resource : {*snapshot, *volume}) {
    SCOPED_TRACE(resource.name);
    auto connected = elsewhere.Open(resource.name);
    remover.hooks().hold_before = Once(SwapsHeader(resource.uuid));
    const auto removal = Begin(remover.atoll().Remove(Hands::Ref(resource.name)));
    ASSERT_TRUE(held_);  // Marked, and not removed yet.
    EXPECT_THAT(elsewhere.Read(resource.name, 0, 1), HasSubstr("is being removed"));
    LetGo();
    ASSERT_TRUE(removal->ended && removal->status.ok()) << removal->status.ToString();
    remover.hooks().hold_before = nullptr;
    Bytes out(kSector);
    EXPECT_EQ(env_.Run(connected->Read(0, out)).code(), Code::kNotFound);
    Close(connected.get());
  }
}

// Q3: the remover is gone, so that its mark keeps nobody out; what it removed is removed.
TEST_F(AttackRemoval, Q3WhatWasRemovedIsNotOpenedByWhoConnectedBefore) {
  MemoryNode& remover = Start({.name = "remover"});
  MemoryNode& other = Start({.name = "other"});
  ASSERT_TRUE(HandsOf(remover).Create("v", kMiB).ok());
  ASSERT_TRUE(HandsOf(remover).Snap("v", "s").ok());
  auto volume = HandsOf(other).Open("v");
  auto snapshot = HandsOf(other).Open("s");
  ASSERT_TRUE(HandsOf(remover).Remove("s").ok());
  ASSERT_TRUE(HandsOf(remover).Remove("v").ok());
  ASSERT_TRUE(remover.Stop().ok());
  Bytes out(kSector);
  EXPECT_EQ(env_.Run(volume->Read(0, out)).code(), Code::kNotFound);
  EXPECT_EQ(env_.Run(snapshot->Read(0, out)).code(), Code::kNotFound);
  Close(volume.get());
  Close(snapshot.get());
}

}  // namespace
}  // namespace atl
