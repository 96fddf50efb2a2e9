// SPDX-License-Identifier: Apache-2.0
//
// Attacks on what is named and what is collected: removals, clones, rollbacks and collections that
// meet in the one order that hurts.
#include "peers/mapper/volume_map.h"
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class AttackGarbage : public Attack {
 protected:
  // Discards everything of "v" and folds that into its tree, so that its map names no older blob.
  void LetGoOfEverything(MemoryNode& node, Device* device) {
    ASSERT_TRUE(env_.Run(device->Discard({0, kMiB}, {})).ok());
    Composer& composer = *node.atoll().open_table().Find(device->info().uuid)->composer;
    for (uint64_t i = 0; i < 2 * VolumeMap::kFoldLayers; ++i) {
      ASSERT_TRUE(WriteNow(device, i * kSubGrain, "more").ok());
      const PinChange nothing;
      ASSERT_TRUE(env_.Run(composer.Pin(nothing)).ok());
      LetRun();  // Folds.
    }
  }
};

// F9, R3: garbage collection beside snapshots, clones and removals, in any interleaving.
TEST_F(AttackGarbage, F9GarbageCollectionTakesNothingThatIsBeingNamed) {
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

// F9: the other way round: what a pin has prepared, and no header names yet, is no garbage.
TEST_F(AttackGarbage, F9GarbageCollectionLeavesWhatAPinHasPrepared) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteNow(device.get(), 0, "data").ok());
  node.hooks().hold_before = Once(SwapsHeader(made->uuid));
  const auto snapshot = Begin(SnapshotTask(&node.atoll(), "v", "s", env_.NewUuid()));
  ASSERT_FALSE(snapshot->ended);
  ASSERT_TRUE(hands.Collect().ok());
  LetGo();
  ASSERT_TRUE(snapshot->ok()) << snapshot->status.ToString();
  ASSERT_TRUE(WriteNow(device.get(), 0, "next", true).ok());
  Close(device.get());
  ASSERT_TRUE(node.Stop().ok());
  MemoryNode& next = Start();
  EXPECT_EQ(HandsOf(next).Read("v", 0, 4), "next");
  EXPECT_EQ(HandsOf(next).Read("s", 0, 4), "data");
}

// R3: a listing is not atomic. The collector has passed the place where a clone will be; the clone
// is made and its original removed; then the collector reads the original.
TEST_F(AttackGarbage, R3ACloneThatIsMadePastTheListingKeepsItsBlobs) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  const auto snapshot = hands.Snap("v", "s");
  ASSERT_TRUE(snapshot.ok());
  ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
  ASSERT_TRUE(hands.Remove("v").ok());

  MemoryNode& collector = Start({.name = "collector"});
  collector.hooks().hold_before = Once(ReadsHeader(snapshot->uuid));
  const auto collection = Begin(CollectTask(&collector.atoll()));
  ASSERT_TRUE(held_);
  ASSERT_TRUE(hands.Clone("c", "s").ok());
  ASSERT_TRUE(hands.Remove("s").ok());
  LetGo();
  ASSERT_TRUE(collection->ended);
  EXPECT_TRUE(collection->status.ok()) << collection->status.ToString();
  EXPECT_EQ(hands.Read("c", 0, 4), "data");
}

// R3: two passes that saw the same resources, and between any two looks a blob went from one that
// had been passed to one that had not. Only `refs` tells.
TEST_F(AttackGarbage, R3ANameThatMovesBehindBothPassesIsSeen) {
  const Uuid volume = Uuid::FromRandom(1, 1);  // Headers are read in the order of their uuids.
  const Uuid first = Uuid::FromRandom(2, 2);
  const Uuid second = Uuid::FromRandom(3, 3);
  ASSERT_TRUE(volume < first && first < second);
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kMiB, volume).ok());
  ASSERT_TRUE(hands.Write("v", 0, "base", true).ok());
  ASSERT_TRUE(hands.Snap("v", "s", first).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(hands.Snap("v", "t", second).ok());
  ASSERT_TRUE(hands.Rollback("v", "s").ok());  // Only t names what has "data" now.

  MemoryNode& collector = Start({.name = "collector"});
  collector.hooks().hold_before = Once(ReadsHeader(first));
  const auto collection = Begin(CollectTask(&collector.atoll()));
  ASSERT_TRUE(held_);  // The volume has been read.
  ASSERT_TRUE(hands.Rollback("v", "t").ok());
  ASSERT_TRUE(hands.Remove("t").ok());
  Event& passed = events_.back();
  collector.hooks().hold_before = Once(ReadsHeader(volume));
  passed.Set();
  LetRun();
  ASSERT_TRUE(held_);  // The second pass has its list, and has read nothing.
  ASSERT_TRUE(hands.Snap("v", "u").ok());
  ASSERT_TRUE(hands.Rollback("v", "s").ok());
  LetGo();
  ASSERT_TRUE(collection->ended);
  EXPECT_TRUE(collection->status.ok()) << collection->status.ToString();
  EXPECT_EQ(hands.Read("u", 0, 4), "data");
}

// R3: a volume was read in the first pass; in the second its snapshot has not been listed, and the
// volume names nothing of it any more. Either of `refs` and what the first pass saw is enough.
TEST_F(AttackGarbage, R3ASnapshotThatIsTakenBetweenThePassesKeepsWhatItsVolumeLetsGo) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteNow(device.get(), 0, "data").ok());

  MemoryNode& collector = Start({.name = "collector"});
  int reads = 0;
  collector.hooks().hold_before = Once([&reads, uuid = made->uuid](const StoreCall& call) {
    return ReadsHeader(uuid)(call) && ++reads == 2;
  });
  const auto collection = Begin(CollectTask(&collector.atoll()));
  ASSERT_TRUE(held_);
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_NO_FATAL_FAILURE(LetGoOfEverything(node, device.get()));
  LetGo();
  ASSERT_TRUE(collection->ok()) << collection->status.ToString();
  EXPECT_EQ(hands.Read("s", 0, 4), "data");
  Close(device.get());
}

// F9: a snapshot was decided and has no header yet, and its volume lets go of what it names.
TEST_F(AttackGarbage, F9APendingSnapshotKeepsWhatItsVolumeLetsGo) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  const Uuid uuid = hands.New();
  node.hooks().hold_before = Once(SwapsHeader(uuid));
  const auto snapshot = Begin(SnapshotTask(&node.atoll(), "v", "s", uuid));
  ASSERT_TRUE(held_);
  ASSERT_NO_FATAL_FAILURE(LetGoOfEverything(node, device.get()));
  const auto header = env_.Run(ReadHeader(&node.stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok() && header->header.pending);

  MemoryNode& collector = Start({.name = "collector"});
  ASSERT_TRUE(HandsOf(collector).Collect().ok());
  LetGo();
  ASSERT_TRUE(snapshot->ended);
  EXPECT_TRUE(snapshot->status.ok()) << snapshot->status.ToString();
  EXPECT_EQ(hands.Read("s", 0, 4), "data");
  Close(device.get());
}

// R2: a collector acts on a removal that it sees and that power takes back.
TEST_F(AttackGarbage, R2ACollectorMakesDurableTheRemovalThatItActsUpon) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string name = "v" + std::to_string(seed);
    MemoryNode& remover = Start({.name = "remover", .max_delay_ns = kMillisecond});
    Hands hands = HandsOf(remover);
    const auto made = hands.Create(name, kMiB);
    ASSERT_TRUE(made.ok());
    ASSERT_TRUE(hands.Write(name, 0, "data", true).ok());
    ASSERT_TRUE(env_.Run(remover.atoll().Release(Hands::Ref(name))).ok());
    MemoryNode& collector = Start({.name = "collector"});
    Store& store = collector.stores().at(0);
    // Until the others see the removal; it is not durable before its caller hears of it.
    bool ended = false;
    remover.hooks().after = [&](const StoreCall& call) { ended |= SwapsAHeader(call); };
    auto removal = std::make_shared<Ongoing>();
    Spawn(Follow(remover.atoll().Remove(Hands::Ref(name)), removal));
    bool seen = false;
    while (!seen && env_.Step()) {
      const auto header = env_.Run(ReadHeader(&store, made->uuid, ReadFor::kLook));
      ASSERT_TRUE(header.ok());
      seen = header->header.state == HeaderState::kRemoved;
    }
    ASSERT_TRUE(seen && !ended);
    remover.store().Die(kSecond);
    // The blobs are gone, the tombstone that says so is next.
    collector.hooks().hold_before = Once(Is(StoreOp::kRemoveRecord));
    const auto collection = Begin(CollectTask(&collector.atoll()));
    ASSERT_TRUE(held_ && !collection->ended);
    world_.PowerLoss(seed);
    LetGo();
    collector.Kill();
    MemoryNode& next = StartAfter(remover);
    remover.hooks().after = nullptr;
    (void)remover.Stop();
    EXPECT_THAT(HandsOf(next).Read(name, 0, 4), HasSubstr("not found"));
    (void)next.Stop();
  }
}

// S3: nodes that a clone shares with its source go with the source, or never.
TEST_F(AttackGarbage, S3NodesLiveAsLongAsAMapReadsThem) {
  constexpr uint64_t kLives = 3;
  constexpr uint64_t kMarks = 2 * VolumeMap::kFoldLayers;
  const auto offset = [](uint64_t life, uint64_t mark) {
    return (life * kMarks + mark) * 8 * kMiB;
  };
  for (uint64_t life = 0; life < kLives; ++life) {  // Each has a node blob of its own.
    MemoryNode& node = Start();
    Hands hands = HandsOf(node);
    if (life == 0) ASSERT_TRUE(hands.Create("v", kGiB).ok());
    for (uint64_t mark = 0; mark < kMarks; ++mark) {
      ASSERT_TRUE(hands.Write("v", offset(life, mark), "mark").ok());
      ASSERT_TRUE(hands.Snap("v", "s").ok());
      if (life + 1 == kLives && mark + 1 == kMarks) ASSERT_TRUE(hands.Clone("c", "s").ok());
      ASSERT_TRUE(hands.Remove("s").ok());
    }
    ASSERT_TRUE(node.Stop().ok());
  }
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Remove("v").ok());
  ASSERT_TRUE(hands.Collect().ok());
  for (uint64_t life = 0; life < kLives; ++life) {
    for (uint64_t mark = 0; mark < kMarks; ++mark) {
      ASSERT_EQ(hands.Read("c", offset(life, mark), 4), "mark");
    }
  }
  ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("c"))).ok());
  ASSERT_TRUE(hands.Remove("c").ok());
  ASSERT_TRUE(hands.Collect().ok());
  const auto blobs = env_.Run(node.store().ListBlobs(std::nullopt, 1000));
  const auto logs = env_.Run(node.store().ListLogs(std::nullopt, 1000));
  ASSERT_TRUE(blobs.ok() && logs.ok());
  EXPECT_EQ(blobs->items.size() + logs->items.size(), 0u);
}

}  // namespace
}  // namespace atl
