// SPDX-License-Identifier: Apache-2.0
//
// Attacks on folds: R12, power that fails inside of one which empties a source; R13, one that loses
// its header swap.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peers/mapper/volume_map.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

constexpr uint64_t kGrains = 16;

bool SwapsHeader(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader;
}

// A volume "v" that a node of the test opens past its atoll, so that a fold can be had alone.
class FoldBench {
 public:
  explicit FoldBench(uint64_t seed = 1) : env_(seed), world_({.seed = seed}) {}

  MemoryNode& Start(std::string name) {
    nodes_.push_back(std::make_unique<MemoryNode>(&env_, &world_, NodeOptions{.name = name}));
    return *nodes_.back();
  }
  Hands HandsOf(MemoryNode& node) { return {&env_, &node.atoll()}; }
  std::unique_ptr<VolumeMap> OpenMap(MemoryNode& node) {
    EXPECT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
    auto map = env_.Run(VolumeMap::OpenWritable(&env_, &node.stores(), 0, uuid_, 0));
    EXPECT_TRUE(map.ok()) << map.status().ToString();
    return map.ok() ? *std::move(map) : nullptr;
  }
  void FoldAndClose(MemoryNode& node) {
    auto map = OpenMap(node);
    if (map == nullptr) return;
    EXPECT_TRUE(env_.Run(map->FoldAll()).ok());
    EXPECT_TRUE(env_.Run(map->Close()).ok());
  }
  Header ReadHeaderOf(MemoryNode& node) {
    const auto header = env_.Run(ReadHeader(&node.stores().at(0), uuid_, ReadFor::kLook));
    EXPECT_TRUE(header.ok()) << header.status().ToString();
    return header.ok() ? header->header : Header();
  }
  // Stops the fold at the call that `stops` says; `meanwhile`; then lets it go on.
  Status FoldStopped(MemoryNode& node, VolumeMap* map, std::function<bool(const StoreCall&)> stops,
                     const std::function<void()>& meanwhile) {
    node.hooks().stops = std::move(stops);
    std::optional<Status> outcome;
    Spawn(Keep(map->FoldAll(), &outcome));
    while (!outcome && !node.hooks().stopped.is_set() && env_.Step()) {
    }
    EXPECT_TRUE(node.hooks().stopped.is_set()) << "the fold does not do that";
    meanwhile();
    node.hooks().go.Set();
    while (!outcome && env_.Step()) {
    }
    return outcome.value_or(Status(Code::kIo, "the fold never ended"));
  }
  static Task<void> Keep(Task<Status> task, std::optional<Status>* out) {
    out->emplace(co_await task);
  }

  TestEnv env_;
  MemoryWorld world_;
  Uuid uuid_;
  std::vector<std::unique_ptr<MemoryNode>> nodes_;
};

// --- R12 -----------------------------------------------------------------------------------------

// The root reads sub-grains from epoch 1, and the journals to be folded overwrite all of them and a
// part of those of epoch 2.
class R12 : public FoldBench {
 public:
  using FoldBench::FoldBench;

  // False once the fold ends before its `step`th call.
  bool CutAt(int step, bool before, bool power) {
    MemoryNode& first = Start("first");
    SetUp(first);
    auto map = OpenMap(first);
    int calls = 0;
    bool fired = false;
    (before ? first.hooks().before : first.hooks().after) = [&](const StoreCall&) {
      if (++calls != step) return;
      fired = true;
      power ? world_.PowerLoss() : first.store().Die();
    };
    const Status folded = env_.Run(map->FoldAll());
    first.hooks().before = first.hooks().after = nullptr;
    EXPECT_TRUE(fired || folded.ok()) << folded.ToString();
    (void)env_.Run(map->Close());
    map.reset();
    first.Kill();
    CheckAfter(first.incarnation());
    return fired;
  }

 private:
  void Write(Hands& hands, uint64_t grain, uint64_t count, char what) {
    const Status status =
        hands.Write("v", grain * kSubGrain, std::string(count * kSubGrain, what), true);
    ASSERT_TRUE(status.ok()) << status.ToString();
    expected_.replace(grain * kSubGrain, count * kSubGrain, count * kSubGrain, what);
  }
  void NextEpoch(Hands& hands) {
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    ASSERT_TRUE(hands.Remove("s").ok());
  }
  void SetUp(MemoryNode& node) {
    Hands hands = HandsOf(node);
    const auto made = hands.Create("v", kMiB);
    ASSERT_TRUE(made.ok());
    uuid_ = made->uuid;
    Write(hands, 0, 4, 'a');
    NextEpoch(hands);
    Write(hands, 4, 4, 'b');
    NextEpoch(hands);
    FoldAndClose(node);
    EXPECT_EQ(ReadHeaderOf(node).map.replay.size(), 0u);
    Write(hands, 0, 6, 'c');
    NextEpoch(hands);
    Write(hands, 8, 1, 'd');
    EXPECT_TRUE(hands.Collect().ok());
  }
  void CheckAfter(const Uuid& predecessor) {
    MemoryNode& node = Start("next");
    Hands hands = HandsOf(node);
    EXPECT_TRUE(env_.Run(node.atoll().BuryPredecessor(predecessor)).ok());
    CheckContent(hands);
    EXPECT_TRUE(hands.Collect().ok());
    CheckContent(hands);
    // Indices go on being given out, and the source leaves after all.
    Write(hands, 9, 1, 'e');
    NextEpoch(hands);
    Write(hands, 0, 1, 'f');
    FoldAndClose(node);
    EXPECT_TRUE(hands.Collect().ok());
    CheckContent(hands);
    const auto gone = env_.Run(node.store().Usage(BlobId{uuid_, 1, 0}));
    EXPECT_EQ(gone.code(), Code::kNotFound) << "epoch 1 is read by nobody";
    EXPECT_TRUE(node.Stop().ok());
  }
  void CheckContent(Hands& hands) {
    const std::string read = hands.Read("v", 0, kGrains * kSubGrain);
    EXPECT_TRUE(read == expected_) << read.substr(0, 300);
  }

  std::string expected_ = std::string(kGrains * kSubGrain, '\0');
};

TEST(AttackR12, AFoldThatEmptiesASourceMayBeCutAnywhere) {
  const uint64_t base = SeedOr(1);
  for (const bool power : {true, false}) {
    for (const bool before : {true, false}) {
      int cuts = 0;
      bool more = true;
      for (int step = 1; more && !::testing::Test::HasFailure(); ++step) {
        // What survives of the unsynced is chance, so each cut is made a few times.
        for (uint64_t seed = base; seed < base + (power ? 6 : 1); ++seed) {
          SCOPED_TRACE(std::string(power ? "power" : "death") + (before ? " before" : " after") +
                       " call " + std::to_string(step) + ", ATOLL_SEED=" + std::to_string(seed));
          more = R12(seed).CutAt(step, before, power);
        }
        cuts += more;
      }
      EXPECT_GE(cuts, 4) << "node blob adopted, nodes appended and synced, header swapped";
    }
  }
}

// --- R13 -----------------------------------------------------------------------------------------

class AttackR13 : public ::testing::Test, protected FoldBench {
 protected:
  // "base" in snapshot s, then "work" in the volume, nothing of it folded.
  void SetUp() override {
    Hands hands = HandsOf(a_);
    const auto made = hands.Create("v", kMiB);
    ASSERT_TRUE(made.ok());
    uuid_ = made->uuid;
    ASSERT_TRUE(hands.Write("v", 0, "base").ok());
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    ASSERT_TRUE(hands.Write("v", 0, "work", true).ok());
  }
  // What an administrator does who takes the first node for dead.
  void RollBackElsewhere() {
    const Status broken = env_.Run(b_.atoll().BreakLock(Hands::Ref("v"), true));
    EXPECT_TRUE(broken.ok()) << broken.ToString();
    Hands hands = HandsOf(b_);
    const Status rolled = hands.Rollback("v", "s");
    EXPECT_TRUE(rolled.ok()) << rolled.ToString();
    EXPECT_EQ(hands.Read("v", 0, 4), "base");
    EXPECT_TRUE(hands.Write("v", kSubGrain, "more", true).ok());
    EXPECT_TRUE(env_.Run(b_.atoll().Release(Hands::Ref("v"))).ok());
  }
  // A snapshot by the first node, stopped before its pin while `meanwhile` happens.
  Status SnapshotStopped(const std::function<void()>& meanwhile) {
    a_.hooks().stops = SwapsHeader;
    std::optional<Status> outcome;
    auto snap = [](LocalAtoll* atoll) -> Task<Status> {
      SnapshotSpec spec;
      spec.uuid = Uuid::FromRandom(7, 7);
      spec.volume = Hands::Ref("v");
      spec.name = "t";
      co_return (co_await atoll->Snapshot(spec)).status();
    };
    Spawn(Keep(snap(&a_.atoll()), &outcome));
    while (!outcome && !a_.hooks().stopped.is_set() && env_.Step()) {
    }
    EXPECT_TRUE(a_.hooks().stopped.is_set());
    meanwhile();
    a_.hooks().go.Set();
    while (!outcome && env_.Step()) {
    }
    return outcome.value_or(Status(Code::kInternal, "it has not ended"));
  }
  void CheckRolledBack() {
    Hands hands = HandsOf(b_);
    EXPECT_TRUE(hands.Collect().ok());
    EXPECT_EQ(hands.Read("v", 0, 4), "base");
    EXPECT_EQ(hands.Read("v", kSubGrain, 4), "more");
    EXPECT_EQ(hands.Read("s", 0, 4), "base");
    EXPECT_EQ(hands.Names(), (std::vector<std::string>{"s", "v"}));
    EXPECT_TRUE(b_.Stop().ok());
    (void)a_.Stop();
  }

  MemoryNode& a_ = Start("a");
  MemoryNode& b_ = Start("b");
};

TEST_F(AttackR13, AFoldWhoseSwapIsLostToAnotherHolderIsDropped) {
  auto map = OpenMap(a_);
  const Status folded = FoldStopped(a_, map.get(), SwapsHeader, [this] { RollBackElsewhere(); });
  EXPECT_EQ(folded.code(), Code::kFenced) << folded.ToString();
  (void)env_.Run(map->Close());
  CheckRolledBack();
}

TEST_F(AttackR13, ACheckpointWhoseSwapIsLostToAnotherHolderIsDropped) {
  const Status pinned = SnapshotStopped([this] { RollBackElsewhere(); });
  EXPECT_EQ(pinned.code(), Code::kFenced) << pinned.ToString();
  CheckRolledBack();
}

// What the first node has prepared, and holds, is not what the second needs.
TEST_F(AttackR13, AHolderThatIsSealedOutOfAPinKeepsNobodyOut) {
  const Status pinned = SnapshotStopped([this] {
    ASSERT_TRUE(env_.Run(b_.atoll().BreakLock(Hands::Ref("v"), true)).ok());
    Hands hands = HandsOf(b_);
    EXPECT_EQ(hands.Read("v", 0, 4), "work");
    EXPECT_TRUE(hands.Write("v", kSubGrain, "more", true).ok());
    EXPECT_TRUE(env_.Run(b_.atoll().Release(Hands::Ref("v"))).ok());
  });
  EXPECT_EQ(pinned.code(), Code::kFenced) << pinned.ToString();
  Hands hands = HandsOf(b_);
  EXPECT_TRUE(hands.Collect().ok());
  EXPECT_EQ(hands.Read("v", 0, 4), "work");
  EXPECT_EQ(hands.Read("v", kSubGrain, 4), "more");
  EXPECT_EQ(hands.Read("s", 0, 4), "base");
  EXPECT_TRUE(b_.Stop().ok());
  (void)a_.Stop();
}

TEST_F(AttackR13, AFoldWhoseSwapIsLostToARenameIsComputedAnew) {
  auto map = OpenMap(a_);
  const Status folded = FoldStopped(a_, map.get(), SwapsHeader, [this] {
    const Status renamed = HandsOf(b_).Rename("v", "w");
    EXPECT_TRUE(renamed.ok()) << renamed.ToString();
  });
  EXPECT_TRUE(folded.ok()) << folded.ToString();
  const Header header = ReadHeaderOf(b_);
  EXPECT_EQ(header.name, "w");
  EXPECT_FALSE(header.map.root.absent());
  EXPECT_TRUE(header.map.replay.empty());
  EXPECT_TRUE(env_.Run(map->Close()).ok());
  map.reset();
  EXPECT_TRUE(a_.Stop().ok());
  Hands hands = HandsOf(b_);
  EXPECT_TRUE(hands.Collect().ok());
  EXPECT_EQ(hands.Read("w", 0, 4), "work");
  EXPECT_EQ(hands.Read("s", 0, 4), "base");
  EXPECT_TRUE(b_.Stop().ok());
}

TEST_F(AttackR13, AJournalThatIsPinnedDuringAFoldStaysInTheReplayList) {
  auto map = OpenMap(a_);
  const auto syncs = [](const StoreCall& call) { return call.op == StoreOp::kSyncLog; };
  auto pin = [](VolumeMap* map) -> Task<Status> {
    CO_RETURN_IF_ERROR(co_await map->Commit({0, 1}, JournalChange::kZero));
    CO_RETURN_IF_ERROR(co_await map->Barrier(map->NotePosition()));
    const PinChange change;
    CO_RETURN_IF_ERROR(co_await map->PreparePin(change));
    co_return co_await map->Pin(change);
  };
  const Status folded = FoldStopped(a_, map.get(), syncs, [&] {
    const Status pinned = env_.Run(pin(map.get()));
    EXPECT_TRUE(pinned.ok()) << pinned.ToString();
  });
  EXPECT_TRUE(folded.ok()) << folded.ToString();
  EXPECT_EQ(ReadHeaderOf(a_).map.replay.size(), 1u);
  EXPECT_TRUE(env_.Run(map->Close()).ok());
  map.reset();
  Hands hands = HandsOf(a_);
  EXPECT_EQ(hands.Read("v", 0, 4), std::string(4, '\0'));
  EXPECT_EQ(hands.Read("s", 0, 4), "base");
  EXPECT_TRUE(a_.Stop().ok());
  EXPECT_TRUE(b_.Stop().ok());
}

}  // namespace
}  // namespace atl
