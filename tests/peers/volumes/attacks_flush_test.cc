// SPDX-License-Identifier: Apache-2.0
//
// Attacks on what is acknowledged and what is durable, each with the one interleaving that it
// needs: a call of the store is held while the rest goes on. storm_test.cc does the same at random.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

constexpr uint64_t kRange = 64 * kKiB;  // 128 units that a power loss decides on one by one.

std::string Filled(char what) { return std::string(kRange, what); }

class AttackFlush : public Attack {
 protected:
  // A volume "v" whose first kRange is 'a', flushed.
  std::unique_ptr<Device> MakeVolume(MemoryNode& node) {
    Hands hands = HandsOf(node);
    EXPECT_TRUE(hands.Create("v", kMiB).ok());
    auto device = hands.Open("v");
    EXPECT_TRUE(WriteNow(device.get(), 0, Filled('a')).ok());
    EXPECT_TRUE(env_.Run(device->Flush()).ok());
    return device;
  }
  // The same, and a snapshot: the next write to it is a first write.
  std::unique_ptr<Device> MakeVolumeWithSnapshot(MemoryNode& node) {
    auto device = MakeVolume(node);
    EXPECT_TRUE(HandsOf(node).Snap("v", "s").ok());
    return device;
  }
};

// Whether a journal that was never synced survives is one throw of the dice, so there are some.
class AttackAtEachPowerLoss : public AttackFlush, public ::testing::WithParamInterface<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, AttackAtEachPowerLoss, ::testing::Range<uint64_t>(1, 9));

// F6: a change of the map that only memory has is acknowledged.
TEST_F(AttackFlush, F6AFirstWriteIsAcknowledgedOnlyOnceTheStoreHasItsChangeOfTheMap) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  node.hooks().hold_before = Once(Is(StoreOp::kAppend));
  const auto write = Begin(WriteTask(device.get(), 0, Filled('b')));
  ASSERT_TRUE(held_);
  EXPECT_FALSE(write->ended);
  LetGo();
  ASSERT_TRUE(write->ok());
  Close(device.get());
  MemoryNode& next = KillAndStart(node);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('b'));
}

// F6, the other way round: the change is in the journal before the data is in the blob.
TEST_F(AttackFlush, F6TheChangeOfTheMapFollowsTheData) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  node.hooks().hold_before = Once(Is(StoreOp::kWrite));
  bool appended = false;
  node.hooks().before = [&](const StoreCall& call) { appended |= call.op == StoreOp::kAppend; };
  const auto write = Begin(WriteTask(device.get(), 0, Filled('b')));
  ASSERT_TRUE(held_);
  EXPECT_FALSE(appended);
  LetGo();
  EXPECT_TRUE(write->ended && appended);
  Close(device.get());
  node.hooks().Clear();
}

// F7: a write that completes while a flush syncs the data puts its entry before the barrier, and
// its data is not synced: a hole where flushed data was.
TEST_F(AttackFlush, F7ABarrierCoversNoEntryThatCameDuringTheSyncOfTheData) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  ASSERT_TRUE(WriteNow(device.get(), kMiB / 2, "something to sync").ok());
  node.hooks().hold_after = Once(Is(StoreOp::kSync));
  const auto flush = Begin(device->Flush());
  ASSERT_TRUE(held_);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  LetGo();
  ASSERT_TRUE(flush->ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  const std::string found = HandsOf(next).Read("v", 0, kRange);
  EXPECT_TRUE(found == Filled('a') || found == Filled('b')) << "holes where flushed data was";
}

// F7: the barrier reaches the medium before the data that it speaks of.
TEST_F(AttackFlush, F7NoBarrierIsWrittenBeforeTheDataIsSynced) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  node.hooks().hold_before = Once(Is(StoreOp::kSync));
  bool appended = false;
  node.hooks().before = [&](const StoreCall& call) { appended |= call.op == StoreOp::kAppend; };
  const auto flush = Begin(device->Flush());
  ASSERT_TRUE(held_);
  EXPECT_FALSE(appended || flush->ended);
  LetGo();
  EXPECT_TRUE(appended && flush->ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('b'));
  node.hooks().Clear();
}

// m12: recovery stops at the first bad batch, so nothing may stand behind one, or in its place.
TEST_F(AttackFlush, M12NothingIsAppendedOnceABatchHasFailed) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  node.hooks().hold_before = Once(Is(StoreOp::kAppend));
  const auto first = Begin(WriteTask(device.get(), 0, Filled('b')));
  ASSERT_TRUE(held_);
  // Its data is written, its entry waits for the first one's.
  const auto second = Begin(WriteTask(device.get(), kMiB / 2, Filled('c')));
  ASSERT_FALSE(first->ended || second->ended);
  int tries = 0;
  node.hooks().fail = [&](const StoreCall& call) {
    const bool fails = call.op == StoreOp::kAppend && ++tries <= 3;
    return fails ? Status(Code::kIo, "no") : OkStatus();
  };
  LetGo();
  EXPECT_EQ(first->status.code(), Code::kReadOnly);
  EXPECT_EQ(second->status.code(), Code::kReadOnly);
  EXPECT_EQ(tries, 3);
  node.hooks().fail = nullptr;
  Close(device.get());
}

// R1: all processes die, a length is pinned by the next opening, then the power fails: the header
// counts bytes that never reached the medium.
TEST_P(AttackAtEachPowerLoss, R1WhatAnOpeningPinsOutlivesIt) {
  MemoryNode& first = Start();
  auto device = MakeVolumeWithSnapshot(first);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  Close(device.get());
  MemoryNode& second = KillAndStart(first);
  ASSERT_TRUE(env_.Run(second.atoll().Acquire(Hands::Ref("v"))).ok());
  MemoryNode& third = LosePowerAndStart(second, GetParam());
  EXPECT_EQ(HandsOf(third).Read("v", 0, kRange), Filled('b'));
}

// R7: the bytes of a FUA overwrite are durable, the entry that leads to them is not.
TEST_P(AttackAtEachPowerLoss, R7AFuaOverwriteIsDurableWithTheEntryThatLeadsToIt) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('c'), true).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('c'));
}

// R7: the entry is before a barrier that is on its way.
TEST_F(AttackFlush, R7AFuaOverwriteWaitsForABarrierThatIsNotDurableYet) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  node.hooks().hold_before = Once(Is(StoreOp::kSyncLog));
  const auto flush = Begin(device->Flush());
  ASSERT_TRUE(held_);
  const auto fua = Begin(WriteTask(device.get(), 0, Filled('c'), true));
  EXPECT_FALSE(fua->ended);
  LetGo();
  EXPECT_TRUE(flush->ended && fua->ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('c'));
}

// R8: a flush joins one whose sync began before its write was acknowledged.
TEST_F(AttackFlush, R8AFlushDoesNotJoinOneThatBeganBeforeItsWrite) {
  MemoryNode& node = Start();
  auto device = MakeVolume(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  node.hooks().hold_after = Once(Is(StoreOp::kSync));
  const auto first = Begin(device->Flush());
  ASSERT_TRUE(held_);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('c')).ok());
  const auto second = Begin(device->Flush());
  LetGo();
  ASSERT_TRUE(first->ended && second->ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('c'));
}

// R8: the blob is taken for clean by what was written while it was being synced.
TEST_F(AttackFlush, R8AWriteDuringASyncLeavesTheBlobDirty) {
  MemoryNode& node = Start();
  auto device = MakeVolume(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  node.hooks().hold_after = Once(Is(StoreOp::kSync));
  const auto first = Begin(device->Flush());
  ASSERT_TRUE(held_);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('c')).ok());
  LetGo();
  ASSERT_TRUE(first->ended);
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('c'));
}

// R8: a write counts from its submission on, so the flush before it takes it for synced.
TEST_F(AttackFlush, R8AWriteThatIsUnderWayDuringASyncIsSyncedByTheNextOne) {
  MemoryNode& node = Start();
  auto device = MakeVolume(node);
  node.hooks().hold_before = Once(Is(StoreOp::kWrite));
  const auto write = Begin(WriteTask(device.get(), 0, Filled('b')));
  ASSERT_TRUE(held_);
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  LetGo();
  ASSERT_TRUE(write->ok());
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('b'));
}

// The same for discards, which are durable after a flush too.
TEST_F(AttackFlush, R8ADiscardThatIsUnderWayDuringASyncIsSyncedByTheNextOne) {
  MemoryNode& node = Start();
  auto device = MakeVolume(node);
  node.hooks().hold_before = Once(Is(StoreOp::kPunch));
  const auto discard = Begin(device->Discard({0, kRange}, {}));
  ASSERT_TRUE(held_);
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  LetGo();
  ASSERT_TRUE(discard->ok());
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('\0'));
}

// S19: connections of one client are one writer, so a flush on one covers what the others wrote.
TEST_F(AttackFlush, S19AFlushOnAConnectionThatHasWrittenNothingCoversTheOthers) {
  MemoryNode& node = Start();
  auto device = MakeVolumeWithSnapshot(node);
  ASSERT_TRUE(WriteNow(device.get(), 0, Filled('b')).ok());
  auto other = HandsOf(node).Open("v");
  ASSERT_TRUE(env_.Run(other->Flush()).ok());
  Close(device.get());
  Close(other.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 0, kRange), Filled('b'));
}

// Minor: what lies in the current blob under a sub-grain that the map calls zero may be the bytes
// of a lost write, so a part of it is never written alone.
TEST_F(AttackFlush, MinorAPartialWriteOverZeroShowsNothingOfALostWrite) {
  MemoryNode* node = &Start();
  auto device = MakeVolume(*node);
  int lost = 0;
  for (uint64_t offset = kRange; offset < kMiB; offset += kRange) {
    SCOPED_TRACE(offset);
    ASSERT_TRUE(WriteNow(device.get(), offset, Filled('x')).ok());
    Close(device.get());
    node = &LosePowerAndStart(*node, offset);
    Hands hands = HandsOf(*node);
    std::string expected = hands.Read("v", offset, kRange);
    lost += expected == Filled('\0');
    for (uint64_t at = 0; at < kRange; at += kSubGrain) {
      ASSERT_TRUE(hands.Write("v", offset + at, std::string(kSector, 'y')).ok());
      expected.replace(at, kSector, kSector, 'y');
    }
    ASSERT_EQ(hands.Read("v", offset, kRange), expected);
    device = hands.Open("v");
  }
  EXPECT_GT(lost, 0) << "no power loss took the entry back";
  Close(device.get());
}

}  // namespace
}  // namespace atl
