// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints and folds that meet what they must not disturb: writers who wait for room, a close,
// the end of the process.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class CheckpointTest : public Disturbed {
 protected:
  static Task<Status> StopTask(LocalAtoll* atoll) { co_return co_await atoll->Shutdown(); }
};

TEST_F(CheckpointTest, APinTakesTheJournalFromUnderNobodyWhoWaitsForRoomInIt) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  Event allocated;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return call.op == StoreOp::kReserve && held++ == 0 ? &allocated : nullptr;
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 2000));
  while (held == 0 && env_.Step()) {
  }
  ASSERT_FALSE(writer->ended) << "it waits for room in the journal";
  EXPECT_TRUE(hands.Snap("v", "s").ok());
  EXPECT_FALSE(writer->ended);
  allocated.Set();
  while (!writer->ended && env_.Step()) {
  }
  EXPECT_TRUE(writer->status.ok()) << writer->status.ToString();
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointTest, ACloseWaitsForTheCheckpointThatHasTheGateClosed) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  Event swapped;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return IsHeaderSwap(call) && held++ == 0 ? &swapped : nullptr;
  };
  // Alone, so that each change has a batch of its own and the journal fills fast.
  bool full = false;
  std::vector<std::shared_ptr<Pending>> writers;
  writers.push_back(Begin(ToggleMany(device.get(), 1, 1'000'000, &full)));
  while (held == 0 && env_.Step()) {
  }
  ASSERT_EQ(held, 1) << "the gate is closed";
  full = true;
  writers.push_back(Begin(ToggleMany(device.get(), 16, 1)));
  Leave(device.get());
  const auto stopped = Begin(ReleaseTask(&node.atoll(), "v"));
  EXPECT_FALSE(stopped->ended) << "the checkpoint has not come to its end";
  swapped.Set();
  LetRun();
  EXPECT_TRUE(stopped->ended);
  EXPECT_TRUE(stopped->status.ok()) << stopped->status.ToString();
  for (const auto& writer : writers) EXPECT_TRUE(writer->ended) << "nobody is forgotten outside";
  node.hooks().hold_before = nullptr;
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointTest, AShutdownWaitsForTheSnapshotThatHasTheGateClosed) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  Event swapped;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return IsHeaderSwap(call) && held++ == 0 ? &swapped : nullptr;
  };
  const auto snapshot = Begin(SnapTask(&node.atoll(), "v", "s", env_.NewUuid()));
  ASSERT_EQ(held, 1) << "the gate is closed";
  Leave(device.get());
  const auto stopped = Begin(StopTask(&node.atoll()));
  EXPECT_FALSE(stopped->ended);
  swapped.Set();
  LetRun();
  EXPECT_TRUE(snapshot->ended);
  EXPECT_TRUE(stopped->ended);
  EXPECT_TRUE(stopped->status.ok()) << stopped->status.ToString();
  MemoryNode next(&env_, &world_);
  EXPECT_EQ(Hands(&env_, &next.atoll()).Read("s", 0, 1), "x") << "it was decided";
  EXPECT_TRUE(next.Stop().ok());
}

// It uses the volume's map to the end.
TEST_F(CheckpointTest, AShutdownWaitsForTheSnapshotThatIsBeingFinished) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  const Uuid uuid = env_.NewUuid();
  Event finished;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    const bool it = IsHeaderSwap(call) && std::get<RecordKey>(call.target).uuid() == uuid;
    return it && held++ == 0 ? &finished : nullptr;
  };
  const auto snapshot = Begin(SnapTask(&node.atoll(), "v", "s", uuid));
  ASSERT_EQ(held, 1) << "it is decided";
  const auto late = Begin(SnapTask(&node.atoll(), "v", "t", env_.NewUuid()));
  Leave(device.get());
  const auto stopped = Begin(StopTask(&node.atoll()));
  EXPECT_FALSE(stopped->ended);
  finished.Set();
  LetRun();
  EXPECT_TRUE(snapshot->ended && stopped->ended && late->ended);
  EXPECT_TRUE(snapshot->status.ok()) << snapshot->status.ToString();
  EXPECT_EQ(late->status.code(), Code::kUnavailable) << late->status.ToString();
  EXPECT_TRUE(stopped->status.ok()) << stopped->status.ToString();
}

TEST_F(CheckpointTest, AFoldThatFailsAtTheEndLosesNothing) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  node.hooks().fail = [](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kAppend || !IsOfNodes(call)) return {};
    return {Code::kNoSpace, "no room for nodes"};
  };
  for (uint64_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(WriteGrain(device.get(), i, 'a').ok());
    ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(i)).ok());
  }
  Close(device);
  EXPECT_TRUE(node.Stop().ok()) << "everything is durable, folded or not";
  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(again.Read("v", i * kSubGrain, 2), "aa");
  EXPECT_TRUE(next.Stop().ok());
}

// The fold that a full replay list asks for before a pin finds that another node has the volume.
TEST_F(CheckpointTest, AFoldBeforeAPinThatFindsAnotherHolderFencesTheVolume) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  node.hooks().fail = [](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kAppend || !IsOfNodes(call)) return {};
    return {Code::kNoSpace, "no room for nodes"};
  };
  Status made_room;
  for (uint64_t i = 0; i < 100 && made_room.ok(); ++i) {
    ASSERT_TRUE(WriteGrain(device.get(), i, 'a').ok());
    made_room = hands.Snap("v", "s" + std::to_string(i)).status();
  }
  ASSERT_EQ(made_room.code(), Code::kNoSpace) << "the list is full";
  node.hooks().fail = nullptr;
  auto header = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kAct));
  ASSERT_TRUE(header.ok());
  const HeaderChange take = [](Header* next) -> Status {
    next->generation += 1;
    return {};
  };
  ASSERT_TRUE(env_.Run(ChangeHeader(&env_, &node.store(), &*header, take)).ok());
  EXPECT_EQ(hands.Snap("v", "t").code(), Code::kFenced);
  EXPECT_EQ(WriteGrain(device.get(), 0, 'b').code(), Code::kFenced);
  Close(device);
  (void)node.Stop();
}

// What a pin begins is made before anything changes, so a store that refuses costs the pin only.
TEST_F(CheckpointTest, APinWhoseNextJournalOrBlobCannotBeMadeChangesNothing) {
  for (const StoreOp op : {StoreOp::kAdopt, StoreOp::kAdoptLog, StoreOp::kReserve, StoreOp::kSync,
                           StoreOp::kSyncLog}) {
    SCOPED_TRACE(static_cast<int>(op));
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    const auto made = hands.Create("v", kMiB);
    ASSERT_TRUE(made.ok());
    auto device = hands.Open("v");
    ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
    node.hooks().fail = [&](const StoreCall& call) -> Status {
      const auto* blob = std::get_if<BlobId>(&call.target);
      const auto* log = std::get_if<LogId>(&call.target);
      const bool next = (blob && blob->epoch == 2) || (log && log->epoch == 2);
      return call.op == op && next ? Status(Code::kIo, "as told") : OkStatus();
    };
    EXPECT_EQ(hands.Snap("v", "s").status().code(), Code::kIo);
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'b').ok());
    EXPECT_TRUE(env_.Run(device->Flush()).ok());
    node.hooks().fail = nullptr;
    EXPECT_TRUE(hands.Snap("v", "s").ok());
    EXPECT_TRUE(WriteGrain(device.get(), 0, 'c').ok());
    Close(device);
    EXPECT_EQ(hands.Read("v", 0, 1), "c");
    EXPECT_EQ(hands.Read("s", 0, 1), "a");
    EXPECT_EQ(hands.Read("s", kSubGrain, 1), "b");
    EXPECT_TRUE(node.Stop().ok());
  }
}

// A sync that failed is not believed again: the next attempt has names of its own.
TEST_F(CheckpointTest, ASnapshotIsMadeAfterOneWhoseNextBlobTheStoreHasGivenUp) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    const auto* blob = std::get_if<BlobId>(&call.target);
    const auto* log = std::get_if<LogId>(&call.target);
    if (call.op == StoreOp::kAdopt && blob->epoch == 2) return {Code::kFenced, "given up"};
    if (call.op == StoreOp::kAdoptLog && log->epoch == 3) return {Code::kFenced, "given up"};
    return {};
  };
  const Status made = hands.Snap("v", "s").status();
  EXPECT_TRUE(made.ok()) << made.ToString();
  node.hooks().fail = nullptr;
  EXPECT_TRUE(WriteGrain(device.get(), 0, 'b').ok());
  Close(device);
  EXPECT_EQ(hands.Read("v", 0, 1), "b");
  EXPECT_EQ(hands.Read("s", 0, 1), "a");
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointTest, ASnapshotForWhichEveryNextNameIsHeldCostsTheSnapshotOnly) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    const auto* blob = std::get_if<BlobId>(&call.target);
    if (call.op == StoreOp::kAdopt && blob->epoch > 1) return {Code::kFenced, "given up"};
    return {};
  };
  const Status refused = hands.Snap("v", "s").status();
  EXPECT_EQ(refused.code(), Code::kUnavailable) << "the volume is not fenced";
  EXPECT_THAT(refused.message(), HasSubstr("given up"));
  EXPECT_TRUE(WriteGrain(device.get(), 0, 'b').ok());
  node.hooks().fail = nullptr;
  EXPECT_TRUE(hands.Snap("v", "t").ok());
  Close(device);
  EXPECT_EQ(hands.Read("t", 0, 1), "b");
  EXPECT_TRUE(node.Stop().ok());
}

// Space was taken for the journal that a pin was to begin, and the pin did not come.
TEST_F(CheckpointTest, ACloseGivesBackTheSpaceOfWhatWasPreparedInVain) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return IsHeaderSwap(call) ? Status(Code::kNoSpace, "full") : OkStatus();
  };
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  node.hooks().fail = nullptr;
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
  MemoryNode next(&env_, &world_);
  const auto logs = env_.Run(next.store().ListLogs({}, 100));
  ASSERT_TRUE(logs.ok());
  EXPECT_GE(logs->items.size(), 2u) << "the current one and the prepared one";
  for (const LogId& log : logs->items) {
    EXPECT_LT(*env_.Run(next.store().LogUsage(log)), 64 * kKiB) << log.ToString();
  }
  EXPECT_TRUE(next.Stop().ok());
}

}  // namespace
}  // namespace atl
