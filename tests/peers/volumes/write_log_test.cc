// SPDX-License-Identifier: Apache-2.0
//
// Flushes that go to the write log: what they promise holds over a loss of power, though the blob
// was not synced; and they stand in nobody's way.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSize = kMiB;  // A half of the log has 64 KiB: room for seven small records.

class WriteLogged : public Attack {
 protected:
  MemoryNode& StartLogging() { return Start({.composers = {.flushes_before_log = 1}}); }
  // A volume "v" of 'a's that has a log.
  std::unique_ptr<Device> MakeVolume(MemoryNode& node) {
    Hands hands = HandsOf(node);
    const auto made = hands.Create("v", kSize);
    EXPECT_TRUE(made.ok());
    uuid_ = made->uuid;
    auto device = hands.Open("v");
    EXPECT_TRUE(WriteNow(device.get(), 0, std::string(kSize, 'a')).ok());
    EXPECT_TRUE(FlushNow(device.get()).ok());
    MakeLog(device.get());
    return device;
  }
  void MakeLog(Device* device) {
    EXPECT_TRUE(WriteNow(device, 0, "a").ok());
    EXPECT_TRUE(FlushNow(device).ok());
    LetRun();
  }
  Status FlushNow(Device* device) { return env_.Run(device->Flush()); }
  Status WriteAndFlush(Device* device, uint64_t grain, std::string data) {
    const Status written = WriteNow(device, grain * kSubGrain, std::move(data));
    return written.ok() ? FlushNow(device) : written;
  }
  static const BlobId* BlobOf(const StoreCall& call, StoreOp op) {
    const auto* blob = std::get_if<BlobId>(&call.target);
    return call.op == op ? blob : nullptr;
  }
  static bool SyncsData(const StoreCall& call) {
    const BlobId* blob = BlobOf(call, StoreOp::kSync);
    return blob != nullptr && !IsWriteLog(*blob);
  }
  static bool WritesLog(const StoreCall& call) {
    const BlobId* blob = BlobOf(call, StoreOp::kWrite);
    return blob != nullptr && IsWriteLog(*blob);
  }
  Header ReadIt(MemoryNode& node) {
    const auto header = env_.Run(ReadHeader(&node.store(), uuid_, ReadFor::kLook));
    EXPECT_TRUE(header.ok());
    return header.ok() ? header->header : Header{};
  }
  // Those logs of the volume that there are, by opening.
  std::vector<uint32_t> Logs(MemoryNode& node) {
    std::vector<uint32_t> epochs;
    const auto page = env_.Run(node.store().ListBlobs(std::nullopt, 1000));
    EXPECT_TRUE(page.ok());
    for (const BlobId& blob : page->items) {
      if (IsWriteLog(blob)) epochs.push_back(blob.epoch);
    }
    return epochs;
  }

  Uuid uuid_;
};

// What a loss of power leaves of the blob is a throw of the dice.
class WriteLoggedAtEachPowerLoss : public WriteLogged,
                                   public ::testing::WithParamInterface<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, WriteLoggedAtEachPowerLoss, ::testing::Range<uint64_t>(1, 9));

TEST_P(WriteLoggedAtEachPowerLoss, AFlushIsKeptThoughTheBlobWasNotSynced) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  int syncs = 0;
  node.hooks().before = [&](const StoreCall& call) { syncs += SyncsData(call); };
  EXPECT_TRUE(WriteNow(device.get(), 5 * kSubGrain + 100, "bb").ok());
  EXPECT_TRUE(WriteAndFlush(device.get(), 9, "c").ok());
  EXPECT_EQ(syncs, 0);
  node.hooks().Clear();
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  EXPECT_EQ(HandsOf(next).Read("v", 5 * kSubGrain + 99, 4), "abba");
  EXPECT_EQ(HandsOf(next).Read("v", 9 * kSubGrain, 2), "ca");
}

TEST_P(WriteLoggedAtEachPowerLoss, SoAreFirstWritesAndDiscards) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  ASSERT_TRUE(HandsOf(node).Snap("v", "s").ok());
  EXPECT_TRUE(WriteNow(device.get(), 20 * kSubGrain, std::string(kSubGrain, 'b')).ok());
  EXPECT_TRUE(WriteNow(device.get(), 40 * kSubGrain + 1, "bb").ok());
  EXPECT_TRUE(env_.Run(device->Discard({60 * kSubGrain, 2 * kSubGrain}, {})).ok());
  EXPECT_TRUE(FlushNow(device.get()).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  Hands hands = HandsOf(next);
  EXPECT_EQ(hands.Read("v", 20 * kSubGrain, kSubGrain + 1), std::string(kSubGrain, 'b') + "a");
  EXPECT_EQ(hands.Read("v", 40 * kSubGrain, 4), "abba");
  EXPECT_EQ(hands.Read("v", 60 * kSubGrain, 2 * kSubGrain + 1),
            std::string(2 * kSubGrain, '\0') + "a");
  EXPECT_EQ(hands.Read("s", 0, kSize), std::string(kSize, 'a'));
}

// Later flushes hold, whatever way each has taken.
TEST_P(WriteLoggedAtEachPowerLoss, WhatASyncHasMadeDurableIsNotTakenBack) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, std::string(kSubGrain, 'b')).ok());
  EXPECT_TRUE(WriteNow(device.get(), 0, std::string(kSize, 'c')).ok());
  EXPECT_TRUE(FlushNow(device.get()).ok()) << "of more than a record takes";
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  EXPECT_EQ(HandsOf(next).Read("v", 0, kSize), std::string(kSize, 'c'));
}

TEST_P(WriteLoggedAtEachPowerLoss, NorIsWhatWasWrittenInPlaceBehindIt) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, std::string(kSubGrain, 'b')).ok());
  EXPECT_TRUE(WriteNow(device.get(), 3 * kSubGrain, std::string(kSubGrain, 'c'), true).ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  EXPECT_EQ(HandsOf(next).Read("v", 3 * kSubGrain, kSubGrain), std::string(kSubGrain, 'c'));
}

// The blob is synced for a half of the log that is full. Flushes do not wait for that, and do not
// take for durable what it has yet to make so.
TEST_P(WriteLoggedAtEachPowerLoss, FlushesGoOnWhileTheBlobIsSynced) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  node.hooks().hold_before = Once(SyncsData);
  uint64_t grain = 0;
  while (!held_ && grain < 20) {
    ASSERT_TRUE(WriteNow(device.get(), grain++ * kSubGrain, "b").ok());
    const auto flush = Begin(device->Flush());
    ASSERT_TRUE(flush->ok()) << "at " << grain;
  }
  ASSERT_TRUE(held_);
  ASSERT_GT(grain, 5);
  // Covered by the sync under way, and promised only once that has ended, or by the log.
  const auto more = Begin(WriteTask(device.get(), 100 * kSubGrain, "b"));
  ASSERT_TRUE(more->ok());
  const auto flush = Begin(device->Flush());
  ASSERT_TRUE(flush->ok());
  Close(device.get());
  node.hooks().Clear();
  world_.PowerLoss(GetParam());
  events_.back().Set();
  MemoryNode& next = KillAndStart(node);
  for (uint64_t i = 0; i < grain; ++i) {
    EXPECT_EQ(HandsOf(next).Read("v", i * kSubGrain, 2), "ba") << i;
  }
  EXPECT_EQ(HandsOf(next).Read("v", 100 * kSubGrain, 2), "ba");
}

TEST_P(WriteLoggedAtEachPowerLoss, WhatACleaningHasNotedIsNotDurableYet) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  // The half is full but for one record; while that is written there is a write that it has not.
  for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(WriteAndFlush(device.get(), i, "b").ok());
  ASSERT_TRUE(WriteNow(device.get(), 50 * kSubGrain, "b").ok());
  HookFilter::Hold in_log = Once(WritesLog);
  Event* const event = &events_.back();
  bool syncing = false;
  Event never;
  node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
    if (SyncsData(call)) {
      syncing = true;
      return &never;
    }
    return in_log(call);
  };
  for (uint64_t i = 0; i < 12 && !syncing; ++i) {
    held_ = false;
    event->Reset();
    const auto flush = Begin(device->Flush());
    ASSERT_TRUE(held_);
    const auto write = Begin(WriteTask(device.get(), (60 + i) * kSubGrain, "c"));
    ASSERT_TRUE(write->ok());
    event->Set();
    LetRun();
    ASSERT_TRUE(flush->ok());
    if (!syncing) continue;
    in_log = [](const StoreCall&) { return nullptr; };
    ASSERT_TRUE(Begin(device->Flush())->ok());
    Close(device.get());
    world_.PowerLoss(GetParam());
    never.Set();
    node.hooks().Clear();
    MemoryNode& next = KillAndStart(node);
    EXPECT_EQ(HandsOf(next).Read("v", (60 + i) * kSubGrain, 2), "ca");
    return;
  }
  never.Set();
  FAIL() << "the blob was never synced";
}

// A process that dies takes nothing with it that was written, flushed or not.
TEST_F(WriteLogged, ADeathOfTheNodeTakesNothingBack) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "b").ok());
  EXPECT_TRUE(WriteNow(device.get(), 3 * kSubGrain, "c").ok());
  Close(device.get());
  MemoryNode& next = KillAndStart(node);
  EXPECT_EQ(HandsOf(next).Read("v", 3 * kSubGrain, 2), "ca");
}

TEST_F(WriteLogged, ACloseInOrderGivesItsSpaceBack) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  const BlobId log = WriteLogOf(uuid_, ReadIt(node).opening);
  EXPECT_GE(*env_.Run(node.store().Usage(log)), 2 * 64 * kKiB);
  EXPECT_NE(ReadIt(node).opening, 0);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "b").ok());
  Close(device.get());
  env_.RunUntilIdleFor(3 * kSecond);
  EXPECT_EQ(ReadIt(node).opening, 0);
  EXPECT_EQ(env_.Run(node.store().Usage(log)).code(), Code::kNotFound);
  // It has one again, under another name.
  device = HandsOf(node).Open("v");
  MakeLog(device.get());
  EXPECT_TRUE(WriteAndFlush(device.get(), 4, "b").ok());
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 1);
  EXPECT_EQ(HandsOf(next).Read("v", 3 * kSubGrain, 2), "ba");
  EXPECT_EQ(HandsOf(next).Read("v", 4 * kSubGrain, 2), "ba");
}

TEST_P(WriteLoggedAtEachPowerLoss, ASnapshotIsNotChangedByWhatTheLogHas) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "b").ok());
  ASSERT_TRUE(HandsOf(node).Snap("v", "s").ok());
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "c").ok());
  EXPECT_EQ(Logs(node), std::vector<uint32_t>{ReadIt(node).opening}) << "it is the same one";
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  EXPECT_EQ(HandsOf(next).Read("s", 3 * kSubGrain, 2), "ba");
  EXPECT_EQ(HandsOf(next).Read("v", 3 * kSubGrain, 2), "ca");
}

TEST_F(WriteLogged, OnlyThatOfAnOpeningThatHasEndedIsGarbage) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  const uint32_t opening = ReadIt(node).opening;
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "b").ok());
  ASSERT_TRUE(HandsOf(node).Collect().ok());
  EXPECT_EQ(Logs(node), std::vector<uint32_t>{opening});
  Close(device.get());
  MemoryNode& next = KillAndStart(node);
  ASSERT_TRUE(HandsOf(next).Collect().ok());
  EXPECT_EQ(Logs(next), std::vector<uint32_t>{opening}) << "nobody has looked at it yet";
  EXPECT_EQ(HandsOf(next).Read("v", 3 * kSubGrain, 2), "ba");
  LetRun();
  EXPECT_EQ(Logs(next), std::vector<uint32_t>{});
}

// The volume goes on without it.
TEST_P(WriteLoggedAtEachPowerLoss, OneThatCannotBeWrittenIsGivenUp) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  EXPECT_TRUE(WriteAndFlush(device.get(), 3, "b").ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return WritesLog(call) ? Status(Code::kIo, "the disk is sick") : OkStatus();
  };
  EXPECT_TRUE(WriteNow(device.get(), 3 * kSubGrain, "c").ok());
  const Status flushed = WriteAndFlush(device.get(), 4, "c");
  EXPECT_TRUE(flushed.ok()) << flushed.ToString();
  EXPECT_EQ(ReadIt(node).opening, 0) << "what it has would be replayed over what was synced";
  EXPECT_EQ(ReadIt(node).read_only_reason, "");
  EXPECT_TRUE(WriteNow(device.get(), 5 * kSubGrain, "d", true).ok());
  EXPECT_TRUE(WriteAndFlush(device.get(), 6, "d").ok());
  node.hooks().Clear();
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  Hands hands = HandsOf(next);
  EXPECT_EQ(hands.Read("v", 3 * kSubGrain, 2), "ca");
  EXPECT_EQ(hands.Read("v", 4 * kSubGrain, 2), "ca");
  EXPECT_EQ(hands.Read("v", 5 * kSubGrain, 2), "da");
  EXPECT_EQ(hands.Read("v", 6 * kSubGrain, 2), "da");
  ASSERT_TRUE(hands.Collect().ok());
  EXPECT_EQ(Logs(next), std::vector<uint32_t>{});
}

// While the blob is synced for a half that is full the log takes more; then the mark fails.
TEST_P(WriteLoggedAtEachPowerLoss, NothingIsLostWithOneThatCannotBeMarked) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  node.hooks().hold_before = Once(SyncsData);
  uint64_t grain = 0;
  for (; !held_ && grain < 20; ++grain) {
    ASSERT_TRUE(WriteNow(device.get(), grain * kSubGrain, "b").ok());
    ASSERT_TRUE(Begin(device->Flush())->ok());
  }
  ASSERT_TRUE(held_);
  ASSERT_TRUE(WriteNow(device.get(), grain * kSubGrain, "b").ok());
  ASSERT_TRUE(Begin(device->Flush())->ok()) << "the log has it";
  int syncs = 0;
  node.hooks().before = [&](const StoreCall& call) { syncs += SyncsData(call); };
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return WritesLog(call) ? Status(Code::kIo, "the disk is sick") : OkStatus();
  };
  LetGo();
  EXPECT_EQ(syncs, 1) << "of what the log took meanwhile";
  EXPECT_EQ(ReadIt(node).opening, 0);
  node.hooks().Clear();
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, GetParam());
  for (uint64_t i = 0; i <= grain; ++i) {
    EXPECT_EQ(HandsOf(next).Read("v", i * kSubGrain, 2), "ba") << i;
  }
}

TEST_F(WriteLogged, OneThatIsSealedEndsTheVolumeHere) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return WritesLog(call) ? Status(Code::kFenced, "sealed") : OkStatus();
  };
  EXPECT_EQ(WriteAndFlush(device.get(), 3, "b").code(), Code::kFenced);
  node.hooks().Clear();
  Close(device.get());
}

// --- What a failed sync has lost -----------------------------------------------------------------

class WriteLoggedAtEachFailedSync : public WriteLogged,
                                    public ::testing::WithParamInterface<uint64_t> {
 protected:
  // The log has what was flushed, and the blob loses it when it is synced.
  void Spoil(MemoryNode& node, Device* device) {
    for (uint64_t i = 3; i < 9; ++i) EXPECT_TRUE(WriteAndFlush(device, i, "b").ok());
    EXPECT_TRUE(WriteNow(device, 9 * kSubGrain, "c", true).ok());
    blob_ = ReadIt(node).blob();
  }
  void FailSyncs(MemoryNode& node) {
    node.hooks().fail = [this](const StoreCall& call) -> Status {
      const BlobId* blob = BlobOf(call, StoreOp::kSync);
      if (blob == nullptr || *blob != blob_) return {};
      world_.LoseUnsynced(blob_, GetParam());
      return {Code::kIo, "the disk is sick"};
    };
  }
  // The next life, whose first open is the first to hear that the blob cannot be synced.
  MemoryNode& StartOverSpoiled() {
    MemoryNode& node = StartLogging();
    auto device = MakeVolume(node);
    Spoil(node, device.get());
    Close(device.get());
    MemoryNode& next = KillAndStart(node);
    FailSyncs(next);
    EXPECT_THAT(HandsOf(next).Read("v", 0, 1), HasSubstr("the disk is sick"));
    return next;
  }
  void ExpectFlushed(MemoryNode& node) {
    Hands hands = HandsOf(node);
    for (uint64_t i = 3; i < 9; ++i) EXPECT_EQ(hands.Read("v", i * kSubGrain, 2), "ba") << i;
    EXPECT_EQ(hands.Read("v", 9 * kSubGrain, 2), "ca");
  }

  BlobId blob_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, WriteLoggedAtEachFailedSync, ::testing::Range<uint64_t>(1, 5));

TEST_P(WriteLoggedAtEachFailedSync, IsInTheLogThoughTheCacheLivesOn) {
  MemoryNode& node = StartLogging();
  auto device = MakeVolume(node);
  Spoil(node, device.get());
  FailSyncs(node);
  EXPECT_TRUE(WriteNow(device.get(), 0, std::string(kSize / 2, 'x')).ok());
  EXPECT_EQ(FlushNow(device.get()).code(), Code::kReadOnly);
  EXPECT_THAT(ReadIt(node).read_only_reason, HasSubstr("the disk is sick"));
  node.hooks().Clear();
  Close(device.get());
  MemoryNode& next = KillAndStart(node);
  // What was written over it and not flushed may be there or not.
  Hands hands = HandsOf(next);
  for (uint64_t i = 3; i < 9; ++i) {
    const std::string found = hands.Read("v", i * kSubGrain, 1);
    EXPECT_TRUE(found == "b" || found == "x") << i << ": " << found;
  }
}

TEST_P(WriteLoggedAtEachFailedSync, IsInTheLogWhoeverOpensItFirst) {
  MemoryNode& next = StartOverSpoiled();
  EXPECT_THAT(ReadIt(next).read_only_reason, HasSubstr("the disk is sick"));
  next.hooks().Clear();
  ExpectFlushed(next);
  EXPECT_EQ(HandsOf(next).Write("v", 0, "d").code(), Code::kReadOnly);
}

// Another file may be synced though this one may not.
TEST_P(WriteLoggedAtEachFailedSync, GoesToAnotherBlobIfThatOneIsLost) {
  MemoryNode& next = StartOverSpoiled();
  ExpectFlushed(next);
  EXPECT_NE(ReadIt(next).blob(), blob_);
  EXPECT_EQ(HandsOf(next).Write("v", 0, "d").code(), Code::kReadOnly);
  next.hooks().Clear();
  MemoryNode& last = LosePowerAndStart(next, GetParam());
  ExpectFlushed(last);
  ASSERT_TRUE(env_.Run(last.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_TRUE(HandsOf(last).Write("v", 0, "d", true).ok());
  ExpectFlushed(last);
}

TEST_P(WriteLoggedAtEachFailedSync, WaitsInTheLogWhileNothingCanBeSynced) {
  MemoryNode& next = StartOverSpoiled();
  next.hooks().fail = [](const StoreCall& call) -> Status {
    return call.op == StoreOp::kSync ? Status(Code::kIo, "the disk is sick") : OkStatus();
  };
  EXPECT_THAT(HandsOf(next).Read("v", 0, 1), HasSubstr("has flushed writes"));
  next.hooks().Clear();
  MemoryNode& last = LosePowerAndStart(next, GetParam());
  ExpectFlushed(last);
}

TEST_F(WriteLogged, WithoutSpaceForItFlushesSyncTheBlob) {
  MemoryNode& node = StartLogging();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kSize).ok());
  auto device = hands.Open("v");
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return WritesLog(call) ? Status(Code::kNoSpace, "full") : OkStatus();
  };
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(WriteAndFlush(device.get(), i, "b").ok());
    LetRun();
  }
  node.hooks().Clear();
  Close(device.get());
  MemoryNode& next = LosePowerAndStart(node, 3);
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(HandsOf(next).Read("v", i * kSubGrain, 1), "b");
}

}  // namespace
}  // namespace atl
