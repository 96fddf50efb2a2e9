// SPDX-License-Identifier: Apache-2.0
//
// Attacks on the design that need whole volumes, each named as in docs/attacks.md. Others have
// their tests beside the part that they attack: those on flushes, leases and garbage in the other
// attacks_*_test.cc; crash_steps_test.cc and storm_test.cc cut things off at every step and moment.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

// F1: sub-grains of one neighbourhood come from many epochs.
TEST_F(Attack, F1EachSubGrainHasASourceOfItsOwnAndAWriteStoresNoMoreThanItself) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, std::string(16 * kSubGrain, 'a')).ok());
  uint64_t written = 0;
  node.hooks().after = [&](const StoreCall& call) {
    if (call.op == StoreOp::kWrite) written += call.data.size();
  };
  std::string expected(16 * kSubGrain, 'a');
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(i)).ok());
    const uint64_t offset = static_cast<uint64_t>(3 + 2 * i) * kSubGrain;
    const std::string grain(kSubGrain, static_cast<char>('b' + i));
    ASSERT_TRUE(hands.Write("v", offset, grain).ok());
    expected.replace(offset, kSubGrain, grain);
  }
  EXPECT_EQ(written, 5 * kSubGrain);
  EXPECT_EQ(hands.Read("v", 0, expected.size()), expected);
  const auto info = env_.Run(node.atoll().Show(Hands::Ref("v"), false));
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->sources, 6u);
  node.hooks().Clear();
}

// F3: a write that was under way when the snapshot was taken changes it afterwards.
TEST_F(Attack, F3NoWriteInFlightChangesASnapshotAfterItWasTaken) {
  MemoryNode& node = Start({.max_delay_ns = kMillisecond});
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  bool stop = false;
  auto writer = [](Device* device, const bool* stop, uint64_t offset) -> Task<void> {
    for (uint64_t i = 0; !*stop; ++i) {
      const Bytes data(kSubGrain, static_cast<std::byte>(i));
      const Status status = co_await device->Write(offset, data, {});
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
  };
  TaskGroup group;
  for (uint64_t i = 0; i < 8; ++i) group.Run(writer(device.get(), &stop, i * kSubGrain));
  for (int i = 0; i < 20; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(hands.Snap("v", name).ok());
    const std::string first = hands.Read(name, 0, 8 * kSubGrain);
    env_.RunUntilIdleFor(5 * kMillisecond);
    EXPECT_EQ(hands.Read(name, 0, 8 * kSubGrain), first);
  }
  stop = true;
  env_.Run([](TaskGroup* group) -> Task<int> {
    co_await group->Join();
    co_return 0;
  }(&group));
  Close(device.get());
}

// F3, in the one order that hurts: the write has found its place and is on its way.
TEST_F(Attack, F3ASnapshotWaitsForTheWritesThatWereLetInBeforeIt) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteNow(device.get(), 0, std::string(kSubGrain, 'a')).ok());
  node.hooks().hold_before = Once(Is(StoreOp::kWrite));
  const auto write = Begin(WriteTask(device.get(), 0, std::string(kSubGrain, 'b')));
  const auto snapshot = Begin(SnapshotTask(&node.atoll(), "v", "s", hands.New()));
  EXPECT_FALSE(snapshot->ended);
  LetGo();
  ASSERT_TRUE(write->ok() && snapshot->ok());
  EXPECT_EQ(hands.Read("s", 0, kSubGrain), std::string(kSubGrain, 'b'));
  Close(device.get());
}

// F4: a holder that was stopped with writes in flight goes on after its lock was broken.
TEST_F(Attack, F4NothingOfAHolderIsVisibleOnceItsLockWasBroken) {
  MemoryNode& old = Start({.name = "old", .max_delay_ns = 20 * kMillisecond});
  Hands before = HandsOf(old);
  ASSERT_TRUE(before.Create("v", kMiB).ok());
  ASSERT_TRUE(before.Write("v", 0, std::string(kSubGrain, 'f'), true).ok());
  auto device = before.Open("v");
  // In flight while the lock is broken; and one that is submitted after it.
  Status late;
  auto write = [](Device* device, uint64_t offset, Status* status) -> Task<void> {
    const Bytes data(kSubGrain, std::byte{'L'});
    *status = co_await device->Write(offset, data, {});
  };
  Spawn(write(device.get(), 0, &late));
  env_.RunUntilIdleFor(kMillisecond);

  MemoryNode& next = Start({.name = "next"});
  Hands after = HandsOf(next);
  const Status polite = env_.Run(next.atoll().BreakLock(Hands::Ref("v"), false));
  EXPECT_EQ(polite.code(), Code::kBusy);
  EXPECT_THAT(std::string(polite.message()), HasSubstr("node old"));
  const Status forced = env_.Run(next.atoll().BreakLock(Hands::Ref("v"), true));
  ASSERT_TRUE(forced.ok()) << forced.ToString();
  const std::string seen = after.Read("v", 0, kSubGrain);
  EXPECT_TRUE(seen == std::string(kSubGrain, 'f') || seen == std::string(kSubGrain, 'L'));
  ASSERT_TRUE(after.Write("v", kSubGrain, std::string(kSubGrain, 'n'), true).ok());

  Status later;
  Spawn(write(device.get(), kSubGrain, &later));
  env_.RunUntilIdleFor(kSecond);
  EXPECT_FALSE(later.ok());
  EXPECT_EQ(after.Read("v", 0, kSubGrain), seen);
  EXPECT_EQ(after.Read("v", kSubGrain, kSubGrain), std::string(kSubGrain, 'n'));
  Close(device.get());
}

// F11: a punch that comes late hits the write that came after the discard.
TEST_F(Attack, F11AWriteAfterADiscardIsNotPunched) {
  MemoryNode& node = Start({.max_delay_ns = kMillisecond});
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, std::string(4 * kSubGrain, 'a')).ok());
  auto device = hands.Open("v");
  auto race = [](Device* device) -> Task<int> {
    const Bytes data(kSubGrain, std::byte{'b'});
    for (int i = 0; i < 200; ++i) {
      TaskGroup group;
      auto discard = [](Device* device) -> Task<void> {
        EXPECT_TRUE((co_await device->Discard({0, 4 * kSubGrain}, {})).ok());
      };
      auto write = [](Device* device, ConstSpan data) -> Task<void> {
        EXPECT_TRUE((co_await device->Write(kSubGrain, data, {})).ok());
      };
      group.Run(discard(device));
      group.Run(write(device, data));
      co_await group.Join();
      Bytes out(kSubGrain);
      EXPECT_TRUE((co_await device->Read(kSubGrain, out)).ok());
      EXPECT_EQ(out, data);
    }
    co_return 0;
  };
  env_.Run(race(device.get()));
  Close(device.get());
}

// F11, and minor: the punch is a part of its discard. Before it is done nothing says so, and no
// write that came later is let past it.
TEST_F(Attack, F11APunchComesBeforeTheChangeOfTheMapAndTheAnswer) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteNow(device.get(), 0, std::string(2 * kSubGrain, 'a')).ok());
  node.hooks().hold_before = Once(Is(StoreOp::kPunch));
  int later = 0;
  node.hooks().before = [&](const StoreCall& call) {
    later += call.op == StoreOp::kAppend || call.op == StoreOp::kWrite;
  };
  const auto discard = Begin(device->Discard({0, 2 * kSubGrain}, {}));
  const std::string sector(kSector, 'b');
  const auto write = Begin(WriteTask(device.get(), kSubGrain + kSector, sector));
  EXPECT_FALSE(discard->ended || write->ended);
  EXPECT_EQ(later, 0);
  LetGo();
  ASSERT_TRUE(discard->ok() && write->ok());
  std::string expected(2 * kSubGrain, '\0');
  expected.replace(kSubGrain + kSector, kSector, kSector, 'b');
  EXPECT_EQ(hands.Read("v", 0, expected.size()), expected);
  Close(device.get());
  node.hooks().Clear();
}

// F12: shrinking and growing again shows what was cut off.
TEST_F(Attack, F12WhatWasCutOffIsNotSeenAgain) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 8192, std::string(2 * kSubGrain, 's')).ok());
  ASSERT_TRUE(hands.Resize("v", 8192 + 512).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(hands.Resize("v", kMiB).ok());
  EXPECT_EQ(hands.Read("v", 8192, 512), std::string(512, 's'));
  EXPECT_EQ(hands.Read("v", 8192 + 512, kSubGrain), std::string(kSubGrain, '\0'));
  ASSERT_TRUE(hands.Clone("c", "s", kMiB).ok());
  EXPECT_EQ(hands.Read("c", 8192 + 512, kSubGrain), std::string(kSubGrain, '\0'));
}

// F13: a blob that a map names and that is gone reads as zeros.
TEST_F(Attack, F13ALostBlobIsAnErrorAndNeverZeros) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  const BlobId blob{made->uuid, 1, 0};
  ASSERT_TRUE(env_.Run(node.store().Remove(blob)).ok());
  EXPECT_THAT(hands.Read("v", 0, 4), HasSubstr("corrupt"));
  EXPECT_EQ(hands.Read("v", kMiB / 2, 1), std::string(1, '\0'));
}

// F13: the current blob is gone, and opening would make an empty one in its place.
TEST_F(Attack, F13ALostCurrentBlobIsNotReplacedByAnEmptyOne) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(node.Stop().ok());
  MemoryNode& next = Start();
  ASSERT_TRUE(env_.Run(next.store().Remove(BlobId{made->uuid, 1, 0})).ok());
  EXPECT_THAT(HandsOf(next).Read("v", 0, 4), HasSubstr("corrupt"));
  EXPECT_THAT(HandsOf(next).Read("v", 0, 4), HasSubstr("corrupt")) << "and not at the second try";
}

// F13: the same beside a lock that its holder has left: the proof that it is gone makes no blob.
TEST_F(Attack, F13ATakeoverDoesNotReplaceALostBlobByAnEmptyOne) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "old", true).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(hands.Write("v", 0, "new", true).ok());
  ASSERT_TRUE(env_.Run(node.atoll().Acquire(Hands::Ref("v"))).ok());
  node.Kill();
  MemoryNode& next = Start();
  Hands again = HandsOf(next);
  ASSERT_TRUE(env_.Run(next.store().Remove(BlobId{made->uuid, 2, 0})).ok());
  const auto expect_lost = [&](const std::string& when) {
    EXPECT_THAT(again.Read("v", 0, 3), HasSubstr("is not in store")) << when;
    const auto usage = env_.Run(next.store().Usage(BlobId{made->uuid, 2, 0}));
    EXPECT_EQ(usage.code(), Code::kNotFound) << when;
  };
  expect_lost("taken over");
  EXPECT_TRUE(env_.Run(next.atoll().BreakLock(Hands::Ref("v"), false)).ok());
  expect_lost("unlocked: the journal tells that its holder is gone");
  ASSERT_TRUE(env_.Run(next.atoll().BreakLock(Hands::Ref("v"), true)).ok());
  expect_lost("unlocked by force");
  next.hooks().fail = [](const StoreCall& call) {
    return SwapsAHeader(call) ? Status(Code::kIo, "as told") : OkStatus();
  };
  EXPECT_EQ(again.Rollback("v", "s").code(), Code::kIo);
  next.hooks().Clear();
  expect_lost("a rollback that failed");
  // A way out that says what it throws away.
  ASSERT_TRUE(again.Rollback("v", "s").ok());
  EXPECT_EQ(again.Read("v", 0, 3), "old");
}

// F13: the same by sealing, against a holder that runs.
TEST_F(Attack, F13ABreakSealsNoEmptyBlobInPlaceOfALostOne) {
  MemoryNode& node = Start();
  MemoryNode& other = Start({.name = "b"});
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(env_.Run(node.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  const BlobId blob{made->uuid, 1, 0};
  ASSERT_TRUE(env_.Run(other.store().Remove(blob)).ok());
  EXPECT_EQ(env_.Run(other.atoll().BreakLock(Hands::Ref("v"), false)).code(), Code::kBusy);
  const Status broken = env_.Run(other.atoll().BreakLock(Hands::Ref("v"), true));
  ASSERT_TRUE(broken.ok()) << broken.ToString();
  EXPECT_EQ(env_.Run(other.store().Usage(blob)).code(), Code::kNotFound);
  EXPECT_THAT(HandsOf(other).Read("v", 0, 4), HasSubstr("is not in store"));
}

// F13: without its current journal a volume would be what it was at its last pin.
TEST_F(Attack, F13ALostCurrentJournalIsNotAnOlderState) {
  for (const bool killed : {false, true}) {
    SCOPED_TRACE(killed ? "killed" : "stopped");
    const std::string name = killed ? "k" : "s";
    MemoryNode& node = Start();
    Hands hands = HandsOf(node);
    const auto made = hands.Create(name, kMiB);
    ASSERT_TRUE(made.ok());
    ASSERT_TRUE(hands.Write(name, 0, "old", true).ok());
    ASSERT_TRUE(hands.Snap(name, name + "@").ok());
    ASSERT_TRUE(env_.Run(node.atoll().Acquire(Hands::Ref(name))).ok());
    ASSERT_TRUE(hands.Write(name, 0, "new", true).ok());
    if (killed) node.Kill();
    if (!killed) ASSERT_TRUE(node.Stop().ok());
    MemoryNode& next = Start();
    const auto header = env_.Run(ReadHeader(&next.store(), made->uuid, ReadFor::kAct));
    ASSERT_TRUE(header.ok());
    const LogId journal = header->header.journal();
    ASSERT_TRUE(env_.Run(next.store().RemoveLog(journal)).ok());
    for (const char* when : {"once", "twice"}) {
      EXPECT_THAT(HandsOf(next).Read(name, 0, 3), HasSubstr(journal.ToString())) << when;
    }
    (void)env_.Run(next.atoll().BreakLock(Hands::Ref(name), true));
    EXPECT_THAT(HandsOf(next).Read(name, 0, 3), HasSubstr("is not in store")) << "unlocked";
    ASSERT_TRUE(HandsOf(next).Rollback(name, name + "@").ok());
    EXPECT_EQ(HandsOf(next).Read(name, 0, 3), "old");
    ASSERT_TRUE(next.Stop().ok());
  }
}

// F13: the journal that a header names, or the nodes of its map, are gone.
TEST_F(Attack, F13ALostJournalOrNodeBlobIsDamageToo) {
  for (const LogKind kind : {LogKind::kJournal, LogKind::kNodes}) {
    MemoryNode& node = Start();
    Hands hands = HandsOf(node);
    const std::string name = kind == LogKind::kJournal ? "journal" : "nodes";
    const auto made = hands.Create(name, kMiB);
    ASSERT_TRUE(made.ok());
    // Few pins stay in the replay list, many are folded.
    for (int i = 0; i < (kind == LogKind::kJournal ? 1 : 8); ++i) {
      ASSERT_TRUE(hands.Write(name, static_cast<uint64_t>(i) * kSubGrain, "data").ok());
      ASSERT_TRUE(hands.Snap(name, name + std::to_string(i)).ok());
    }
    ASSERT_TRUE(node.Stop().ok());
    MemoryNode& next = Start();
    const auto logs = env_.Run(next.store().ListLogs(std::nullopt, 1000));
    ASSERT_TRUE(logs.ok());
    for (const LogId& log : logs->items) {
      if (log.owner != made->uuid || log.kind != kind) continue;
      ASSERT_TRUE(env_.Run(next.store().RemoveLog(log)).ok());
    }
    EXPECT_THAT(HandsOf(next).Read(name, 0, 4), HasSubstr("corrupt"));
    (void)next.Stop();
  }
}

// S15: two partial writes to one sub-grain of an older epoch, at once.
TEST_F(Attack, S15TwoHalvesOfASubGrainBothSurvive) {
  MemoryNode& node = Start({.max_delay_ns = kMillisecond});
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, std::string(kMiB, 'a')).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  auto first = hands.Open("v");
  auto second = hands.Open("v");  // Another connection: they share the volume.
  auto both = [](Device* a, Device* b) -> Task<int> {
    auto write = [](Device* device, uint64_t offset, std::byte what) -> Task<void> {
      const Bytes data(512, what);
      EXPECT_TRUE((co_await device->Write(offset, data, {})).ok());
    };
    TaskGroup group;
    for (uint64_t grain = 0; grain < 256; ++grain) {
      group.Run(write(a, grain * kSubGrain + 512, std::byte{'x'}));
      group.Run(write(b, grain * kSubGrain + 2048, std::byte{'y'}));
    }
    co_await group.Join();
    co_return 0;
  };
  env_.Run(both(first.get(), second.get()));
  std::string grain(kSubGrain, 'a');
  grain.replace(512, 512, std::string(512, 'x'));
  grain.replace(2048, 512, std::string(512, 'y'));
  for (uint64_t i = 0; i < 256; ++i) {
    ASSERT_EQ(hands.Read("v", i * kSubGrain, kSubGrain), grain) << i;
  }
  Close(first.get());
  Close(second.get());
}

// R4: a map names a store that this node does not have.
TEST_F(Attack, R4AStoreThatIsNotThereIsAnErrorAndNeverAnEmptyMap) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(node.Stop().ok());
  MemoryNode& next = Start();
  Hands again = HandsOf(next);
  Store& store = next.stores().at(0);
  auto header = env_.Run(ReadHeader(&store, made->uuid, ReadFor::kAct));
  ASSERT_TRUE(header.ok());
  ASSERT_FALSE(header->header.map.replay.empty());
  const auto change = [](Header* next) -> Status {
    next->map.replay[0].blob_store = Uuid::FromRandom(1, 2);
    return {};
  };
  ASSERT_TRUE(env_.Run(ChangeHeader(&env_, &store, &*header, change)).ok());
  EXPECT_THAT(again.Read("v", 0, 4), HasSubstr("is not configured on this node"));
}

}  // namespace
}  // namespace atl
