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

// The lease ends while a checkpoint is under way, and comes back; while a writer waits for its
// room, or nobody does.
TEST_F(CheckpointTest, ACheckpointWaitsForALeaseThatComesBack) {
  for (const bool awaited : {false, true}) {
    SCOPED_TRACE(awaited ? "awaited" : "not awaited");
    MemoryWorld world;
    MemoryNode node(&env_, &world, {.lease_term_ns = 15 * kSecond});
    Hands hands(&env_, &node.atoll());
    ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
    auto device = hands.Open("v");
    Event synced;
    int held = 0;
    bool enough = false;
    node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
      if (call.op != StoreOp::kSync || held++ != 1) return nullptr;
      enough = !awaited;
      return &synced;
    };
    const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
    ASSERT_EQ(held, 2) << "the checkpoint flushes";
    ASSERT_EQ(writer->ended, !awaited);
    node.hooks().fail = [](const StoreCall& call) -> Status {
      const auto* key = std::get_if<RecordKey>(&call.target);
      if (key == nullptr || key->kind != RecordKind::kLease) return {};
      return {Code::kUnavailable, "the store is away"};
    };
    env_.RunUntilIdleFor(20 * kSecond);
    synced.Set();
    env_.RunUntilIdleFor(60 * kSecond);
    EXPECT_EQ(WriteGrain(device.get(), 9, 'x').code(), Code::kFenced) << "not without a lease";
    EXPECT_EQ(writer->ended, !awaited);
    enough = true;
    node.hooks().fail = nullptr;
    env_.RunUntilIdleFor(6 * kSecond);
    EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
    const Status written = WriteGrain(device.get(), 9, 'x');
    EXPECT_TRUE(written.ok()) << written.ToString();
    EXPECT_TRUE(hands.Snap("v", "s").ok());
    Close(device);
    EXPECT_TRUE(node.Stop().ok());
  }
}

// Each step of a checkpoint at which the store may refuse. In the journal there is room yet.
TEST_F(CheckpointTest, ACheckpointThatFailsIsTriedAgain) {
  const auto next_log = [](const StoreCall& call) {
    const auto* log = std::get_if<LogId>(&call.target);
    return call.op == StoreOp::kAdoptLog && log->kind == LogKind::kJournal;
  };
  struct Step {
    std::function<bool(const StoreCall&)> at;
    Code code;
  };
  const Step steps[] = {
      {next_log, Code::kNoSpace}, {next_log, Code::kIo},          {next_log, Code::kUnavailable},
      {next_log, Code::kFenced},  {IsHeaderSwap, Code::kNoSpace}, {IsHeaderSwap, Code::kIo},
  };
  for (const Step& step : steps) {
    SCOPED_TRACE(RowOf(step.code).name);
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    const auto made = hands.Create("v", 8 * kMiB);
    ASSERT_TRUE(made.ok());
    auto device = hands.Open("v");
    ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
    const auto before = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
    ASSERT_TRUE(before.ok());
    int refused = 0;
    bool enough = false;
    node.hooks().fail = [&](const StoreCall& call) -> Status {
      if (!step.at(call)) return {};
      ++refused;
      enough = true;
      return {step.code, "as told"};
    };
    const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
    env_.RunUntilIdleFor(60 * kSecond);
    EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
    EXPECT_GT(refused, 3);
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'y').ok()) << "nobody has waited";
    node.hooks().fail = nullptr;
    env_.RunUntilIdleFor(2 * kSecond);
    const auto after = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
    ASSERT_TRUE(after.ok());
    EXPECT_GT(after->header.generation, before->header.generation) << "it was made";
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'z').ok());
    EXPECT_TRUE(hands.Snap("v", "s").ok());
    Close(device);
    EXPECT_EQ(hands.Read("v", kSubGrain, 1), "z");
    EXPECT_TRUE(node.Stop().ok());
  }
}

TEST_F(CheckpointTest, WhoWaitsForACheckpointThatNeverComesHearsWhy) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return IsHeaderSwap(call) ? Status(Code::kNoSpace, "the disk is full") : OkStatus();
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000));
  env_.RunUntilIdleFor(29 * kSecond);
  EXPECT_FALSE(writer->ended) << "there may be room yet";
  env_.RunUntilIdleFor(10 * kSecond);
  ASSERT_TRUE(writer->ended);
  EXPECT_EQ(writer->status.code(), Code::kReadOnly);
  EXPECT_THAT(writer->status.message(), ::testing::HasSubstr("the disk is full"));
  node.hooks().fail = nullptr;
  Close(device);
  (void)node.Stop();
  MemoryNode next(&env_, &world_);
  const auto shown = env_.Run(next.atoll().Show(Hands::Ref("v"), false));
  ASSERT_TRUE(shown.ok());
  EXPECT_THAT(shown->read_only_reason, ::testing::HasSubstr("the disk is full"));
  EXPECT_TRUE(next.Stop().ok());
}

// Another node has the volume: there is nothing to wait for.
TEST_F(CheckpointTest, ACheckpointOfAVolumeThatWasTakenOverIsNotTriedAgain) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", 8 * kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  auto header = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kAct));
  ASSERT_TRUE(header.ok());
  const HeaderChange take = [](Header* next) -> Status {
    next->generation += 1;
    return {};
  };
  ASSERT_TRUE(env_.Run(ChangeHeader(&env_, &node.store(), &*header, take)).ok());
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000));
  while (!writer->ended && env_.Step()) {
  }
  EXPECT_EQ(writer->status.code(), Code::kFenced) << writer->status.ToString();
  Close(device);
  (void)node.Stop();
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
  EXPECT_THAT(refused.message(), ::testing::HasSubstr("given up"));
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
