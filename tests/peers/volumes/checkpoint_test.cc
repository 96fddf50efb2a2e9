// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints and folds that meet what they must not disturb: writers who wait for room, a close,
// the end of the process.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

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

// The lease ends while a checkpoint is under way, and comes back.
TEST_F(CheckpointTest, ACheckpointWaitsForALeaseThatComesBack) {
  MemoryNode node(&env_, &world_, {.lease_term_ns = 15 * kSecond});
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  Event synced;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return call.op == StoreOp::kSync && held++ == 1 ? &synced : nullptr;
  };
  bool full = false;
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000, &full));
  while (held < 2 && env_.Step()) {
  }
  ASSERT_EQ(held, 2) << "the checkpoint flushes";
  full = true;
  node.hooks().fail = [](const StoreCall& call) -> Status {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (key == nullptr || key->kind != RecordKind::kLease) return {};
    return {Code::kUnavailable, "the store is away"};
  };
  env_.RunUntilIdleFor(20 * kSecond);
  synced.Set();
  LetRun();
  EXPECT_EQ(WriteGrain(device.get(), 9, 'x').code(), Code::kFenced) << "not without a lease";
  node.hooks().fail = nullptr;
  env_.RunUntilIdleFor(2 * kSecond);
  EXPECT_TRUE(writer->ended);
  const Status written = WriteGrain(device.get(), 9, 'x');
  EXPECT_TRUE(written.ok()) << written.ToString();
  EXPECT_TRUE(hands.Snap("v", "s").ok());
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
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

}  // namespace
}  // namespace atl
