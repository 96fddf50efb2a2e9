// SPDX-License-Identifier: Apache-2.0
//
// Attacks on the design that need whole volumes, each named as in docs/attacks.md. Others have
// their tests beside the part that they attack; crash_steps_test.cc and storm_test.cc cut things
// off at every step and every moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class Attack : public ::testing::Test {
 protected:
  MemoryNode& Start(NodeOptions options = {}) {
    nodes_.push_back(std::make_unique<MemoryNode>(&env_, &world_, std::move(options)));
    return *nodes_.back();
  }
  void TearDown() override {
    for (auto& node : nodes_) (void)node->Stop();
  }
  Hands HandsOf(MemoryNode& node) { return {&env_, &node.atoll()}; }
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }

  TestEnv env_;
  MemoryWorld world_;
  std::vector<std::unique_ptr<MemoryNode>> nodes_;
};

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
  env_.Run(CloseTask(device.get()));
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
  env_.Run(CloseTask(device.get()));
}

// F9, R3: garbage collection beside snapshots, clones and removals, in any interleaving.
TEST_F(Attack, F9GarbageCollectionTakesNothingThatIsBeingNamed) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TestEnv env(seed);
    env.ShuffleReady();
    MemoryWorld world({.seed = seed});
    NodeOptions options;
    options.max_delay_ns = 500 * kMicrosecond;
    MemoryNode node(&env, &world, options);
    Hands hands(&env, &node.atoll());
    ASSERT_TRUE(hands.Create("v", kMiB).ok());
    ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    ASSERT_TRUE(hands.Write("v", 0, "next", true).ok());
    bool stop = false;
    auto collector = [](LocalAtoll* atoll, const bool* stop) -> Task<void> {
      while (!*stop) {
        const auto report = co_await atoll->CollectGarbage(false);
        EXPECT_TRUE(report.ok() || report.code() == Code::kBusy) << report.status().ToString();
      }
    };
    TaskGroup group;
    group.Run(collector(&node.atoll(), &stop));
    std::string from = "s";
    for (int i = 0; i < 6; ++i) {
      const std::string clone = "c" + std::to_string(i);
      ASSERT_TRUE(hands.Clone(clone, from).ok());
      ASSERT_TRUE(hands.Remove(from).ok());
      from = "s" + std::to_string(i);
      ASSERT_TRUE(hands.Snap(clone, from).ok());
      ASSERT_EQ(hands.Read(from, 0, 4), "data");
      ASSERT_EQ(hands.Read(clone, 0, 4), "data");
      ASSERT_EQ(hands.Read("v", 0, 4), "next");
    }
    stop = true;
    env.Run([](TaskGroup* group) -> Task<int> {
      co_await group->Join();
      co_return 0;
    }(&group));
    EXPECT_EQ(hands.Read(from, 0, 4), "data");
    EXPECT_TRUE(node.Stop().ok());
  }
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
  env_.Run(CloseTask(device.get()));
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

// S2: a snapshot that was removed comes back when its volume, which died before it had cleared its
// pending operation, is opened again.
TEST_F(Attack, S2ARemovedSnapshotDoesNotComeBack) {
  MemoryNode& node = Start({.name = "dying"});
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data").ok());
  // Dies when it has put the snapshot's header: the name record, the pin, then that.
  int swaps = 0;
  node.hooks().after = [&](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (call.op != StoreOp::kSwapRecord || key->kind != RecordKind::kHeader) return;
    if (++swaps == 2) node.store().Die();
  };
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  ASSERT_GE(swaps, 2);
  node.hooks().after = nullptr;
  const Uuid dead = node.incarnation();
  (void)node.Stop();

  MemoryNode& next = Start({.name = "next"});
  Hands again = HandsOf(next);
  ASSERT_TRUE(env_.Run(next.atoll().BuryPredecessor(dead)).ok());
  ASSERT_EQ(again.Read("s", 0, 4), "data");
  ASSERT_TRUE(env_.Run(next.atoll().Release(Hands::Ref("s"))).ok());
  ASSERT_TRUE(again.Remove("s").ok());
  ASSERT_TRUE(again.Collect().ok());
  ASSERT_TRUE(again.Write("v", 0, "more").ok());  // Opens v, which settles what is pending.
  EXPECT_EQ(again.Names(), std::vector<std::string>{"v"});
  EXPECT_THAT(again.Read("s", 0, 4), HasSubstr("not found"));
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
  env_.Run(CloseTask(first.get()));
  env_.Run(CloseTask(second.get()));
}

// Q4: the journal is full, and the checkpoint that would empty it waits for those who wait for it.
TEST_F(Attack, Q4WritersGetPastAFullJournal) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", 64 * kGiB).ok());
  auto device = hands.Open("v");
  auto fill = [](Device* device) -> Task<int> {
    const Bytes data(512, std::byte{'q'});
    // One at a time: each is a batch of 80 bytes, so this is more than one journal's 16 MiB.
    for (uint64_t i = 0; i < 230'000; ++i) {
      const Status status = co_await device->Discard({(i * 7919 % 8'000'000) * 8192, 4096}, {});
      if (!status.ok()) ADD_FAILURE() << status.ToString();
      const Status written = co_await device->Write((i * 7919 % 8'000'000) * 8192, data, {});
      if (!written.ok()) ADD_FAILURE() << written.ToString();
      if (::testing::Test::HasFailure()) co_return 1;
    }
    co_return 0;
  };
  env_.Run(fill(device.get()));
  EXPECT_GT(node.atoll().open_table().Find(device->info().uuid)->composer->geometry().generation,
            2u);
  EXPECT_EQ(hands.Read("v", 0, 1), "q");
  env_.Run(CloseTask(device.get()));
}

// Q5: a store that is full cannot even remove.
TEST(AttackAlone, Q5AFullStoreStillRemoves) {
  TestEnv env;
  MemoryWorld world({.capacity_bytes = 8 * kMiB, .reserve_bytes = 2 * kMiB});
  MemoryNode node(&env, &world);
  Hands hands(&env, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kGiB).ok());
  Status status;
  for (uint64_t at = 0; status.ok() && at < 64 * kMiB; at += kMiB) {
    status = hands.Write("v", at, std::string(kMiB, 'x'));
  }
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  EXPECT_EQ(hands.Read("v", 0, 1), "x");
  const Status removed = hands.Remove("v");
  EXPECT_TRUE(removed.ok()) << removed.ToString();
  const auto collected = hands.Collect();
  EXPECT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_TRUE(hands.Create("w", kGiB).ok());
  EXPECT_TRUE(hands.Write("w", 0, std::string(kMiB, 'y')).ok());
  EXPECT_TRUE(node.Stop().ok());
}

// Q6, Q7: node blobs and journals pile up with every opening.
TEST_F(Attack, Q6NodeBlobsLeaveTheTableAndTheReplayListStaysShort) {
  const auto made = HandsOf(Start()).Create("v", kGiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(nodes_.back()->Stop().ok());
  for (int life = 0; life < 40; ++life) {
    MemoryNode node(&env_, &world_);
    Hands hands(&env_, &node.atoll());
    for (uint64_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(hands.Write("v", i * kMiB, "life" + std::to_string(life)).ok());
      ASSERT_TRUE(hands.Snap("v", "s").ok());
      ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("s"))).ok());
      ASSERT_TRUE(hands.Remove("s").ok());
    }
    ASSERT_TRUE(node.Stop().ok());
  }
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Collect().ok());
  const auto header = env_.Run(ReadHeader(&node.stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok());
  EXPECT_LE(header->header.map.replay.size(), kMaxReplayJournals);
  const auto logs = env_.Run(node.store().ListLogs(std::nullopt, 1000));
  ASSERT_TRUE(logs.ok());
  EXPECT_LE(logs->items.size(), 24u);
  EXPECT_EQ(hands.Read("v", 0, 6), "life39");
  EXPECT_TRUE(node.Stop().ok());
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
