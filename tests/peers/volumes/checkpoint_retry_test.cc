// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that are refused while nothing is lost: they are tried again, for as long as it makes
// sense.
#include <set>

#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

bool IsNextJournal(const StoreCall& call) {
  const auto* log = std::get_if<LogId>(&call.target);
  return call.op == StoreOp::kAdoptLog && log->kind == LogKind::kJournal;
}

class CheckpointRetry : public Disturbed {
 protected:
  static Task<Status> StopTask(LocalAtoll* atoll) { co_return co_await atoll->Shutdown(); }
  static Task<Status> ResizeTask(LocalAtoll* atoll, uint64_t size) {
    const ResourceRef ref = ResourceRef::Named("v");
    co_return (co_await atoll->Resize(ref, size, true)).status();
  }
  static Task<void> ReadOn(Device* device, const bool* over, Status* out) {
    Bytes data(kSubGrain);
    while (!*over && out->ok()) {
      const Status status = co_await device->Read(100 * kSubGrain, data);
      if (!status.ok()) *out = status;
    }
  }
  static Task<Status> ReadMany(Device* device, int tasks, const bool* over) {
    Status status;
    TaskGroup group;
    for (int i = 0; i < tasks; ++i) group.Run(ReadOn(device, over, &status));
    co_await group.Join();
    co_return status;
  }
};

// The lease ends while a checkpoint is under way, and comes back; while a writer waits for its
// room, or nobody does.
TEST_F(CheckpointRetry, ACheckpointWaitsForALeaseThatComesBack) {
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
    int made_blobs = 0;
    node.hooks().fail = [&](const StoreCall& call) -> Status {
      if (call.op == StoreOp::kAdopt) ++made_blobs;
      const auto* key = std::get_if<RecordKey>(&call.target);
      if (key == nullptr || key->kind != RecordKind::kLease) return {};
      return {Code::kUnavailable, "the store is away"};
    };
    env_.RunUntilIdleFor(20 * kSecond);
    synced.Set();
    env_.RunUntilIdleFor(60 * kSecond);
    EXPECT_EQ(WriteGrain(device.get(), 9, 'x').code(), Code::kFenced) << "not without a lease";
    EXPECT_EQ(hands.Snap("v", "r").status().code(), Code::kFenced);
    EXPECT_EQ(made_blobs, 0) << "nothing is prepared in vain";
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
TEST_F(CheckpointRetry, ACheckpointThatFailsIsTriedAgain) {
  struct Step {
    std::function<bool(const StoreCall&)> at;
    Code code;
  };
  const Step steps[] = {
      {IsNextJournal, Code::kNoSpace},     {IsNextJournal, Code::kIo},
      {IsNextJournal, Code::kUnavailable}, {IsNextJournal, Code::kFenced},
      {IsHeaderSwap, Code::kNoSpace},      {IsHeaderSwap, Code::kIo},
      {IsNextJournal, Code::kReadOnly},
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
    env_.RunUntilIdleFor(60 * kSecond);
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

// Of a checkpoint that is refused, nothing is left to do once a snapshot has begun a new journal.
TEST_F(CheckpointRetry, ASnapshotDoesWhatACheckpointCouldNot) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", 8 * kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  bool enough = false;
  node.hooks().fail = [&](const StoreCall& call) -> Status {
    if (!IsHeaderSwap(call) || !ComposerIsOpen(node)) return {};
    enough = true;
    return {Code::kNoSpace, "the disk is full"};
  };
  const auto first = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
  ASSERT_TRUE(first->ended && first->status.ok());
  env_.RunUntilIdleFor(10 * kSecond);
  node.hooks().fail = nullptr;
  EXPECT_TRUE(hands.Snap("v", "s").ok());
  const auto before = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
  env_.RunUntilIdleFor(100 * kSecond);
  const auto after = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->header.generation, before->header.generation);
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointRetry, WhoWaitsForACheckpointThatNeverComesHearsWhy) {
  struct Refusal {
    StoreOp op;
    Code code;  // As of a full disk, and of a file system that was remounted read-only.
  };
  for (const Refusal& refusal : {Refusal{StoreOp::kSwapRecord, Code::kNoSpace},
                                 Refusal{StoreOp::kAdoptLog, Code::kReadOnly}}) {
    SCOPED_TRACE(RowOf(refusal.code).name);
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
    auto device = hands.Open("v");
    ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
    node.hooks().fail = [&](const StoreCall& call) -> Status {
      const bool refused = call.op == refusal.op && (IsHeaderSwap(call) || !IsOfRecord(call));
      return refused ? Status(refusal.code, "as told") : OkStatus();
    };
    const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000));
    env_.RunUntilIdleFor(29 * kSecond);
    EXPECT_FALSE(writer->ended) << "there may be room yet";
    env_.RunUntilIdleFor(10 * kSecond);
    ASSERT_TRUE(writer->ended);
    EXPECT_EQ(writer->status.code(), Code::kReadOnly);
    EXPECT_THAT(writer->status.message(), HasSubstr("as told"));
    node.hooks().fail = nullptr;
    Close(device);
    (void)node.Stop();
    MemoryNode next(&env_, &world);
    const auto shown = env_.Run(next.atoll().Show(Hands::Ref("v"), false));
    ASSERT_TRUE(shown.ok());
    EXPECT_THAT(shown->read_only_reason, HasSubstr("as told"));
    EXPECT_TRUE(next.Stop().ok());
  }
}

// Whoever is held up for a moment by an attempt's closed gate does not wait for room.
TEST_F(CheckpointRetry, WhoOnlyPassesByWhileItIsTriedAgainDoesNotEndThePatience) {
  MemoryNode node(&env_, &world_, {.max_delay_ns = 20 * kMillisecond});
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 100, 'x').ok());
  bool enough = false;
  node.hooks().fail = [&](const StoreCall& call) -> Status {
    if (!IsHeaderSwap(call) || !ComposerIsOpen(node)) return {};
    enough = true;
    return {Code::kNoSpace, "the disk is full"};
  };
  const auto first = Begin(ToggleMany(device.get(), 16, 1'000'000, &enough));
  while (!first->ended && env_.Step()) {
  }
  ASSERT_TRUE(first->ended && first->status.ok());
  bool over = false;
  const auto load = Begin(ReadMany(device.get(), 8, &over));
  env_.RunUntilIdleFor(100 * kSecond);
  over = true;
  while (!load->ended && env_.Step()) {
  }
  EXPECT_TRUE(load->status.ok()) << load->status.ToString();
  const Status written = WriteGrain(device.get(), 1, 'y');
  EXPECT_TRUE(written.ok()) << written.ToString();
  node.hooks().fail = nullptr;
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointRetry, AnAttemptThatBeganBeforeAWriterCameDoesNotEndItsPatience) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  bool enough = false;
  node.hooks().fail = [&](const StoreCall& call) -> Status {
    if (!IsNextJournal(call)) return {};
    enough = true;
    return {Code::kUnavailable, "the store is slow"};
  };
  const auto first = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
  ASSERT_TRUE(first->ended && first->status.ok());
  env_.RunUntilIdleFor(100 * kSecond);
  Event answered;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
    return IsNextJournal(call) && held++ == 0 ? &answered : nullptr;
  };
  for (int i = 0; i < 100 && held == 0; ++i) env_.RunUntilIdleFor(kSecond);
  ASSERT_EQ(held, 1);
  const auto writer = Begin(ToggleMany(device.get(), 1, 100'000));
  env_.RunUntilIdleFor(40 * kSecond);
  EXPECT_FALSE(writer->ended);
  answered.Set();  // With the refusal.
  LetRun();
  node.hooks().fail = nullptr;
  env_.RunUntilIdleFor(5 * kSecond);
  EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointRetry, AShutdownDoesNotWaitForAShrinkThatWaitsForRoom) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return IsNextJournal(call) ? Status(Code::kNoSpace, "the disk is full") : OkStatus();
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000));
  env_.RunUntilIdleFor(2 * kSecond);
  ASSERT_FALSE(writer->ended) << "the journal is full";
  Leave(device.get());
  const auto shrunk = Begin(ResizeTask(&node.atoll(), 4 * kMiB));
  EXPECT_FALSE(shrunk->ended);
  const auto stopped = Begin(StopTask(&node.atoll()));
  env_.RunUntilIdleFor(2 * kSecond);
  EXPECT_TRUE(stopped->ended && shrunk->ended && writer->ended);
  EXPECT_EQ(shrunk->status.code(), Code::kUnavailable) << shrunk->status.ToString();
}

// The change of a header is on its way while the volume becomes read-only.
TEST_F(CheckpointRetry, WhoWaitsForRoomIsToldAlsoWhileTheVolumeGrows) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return IsNextJournal(call) ? Status(Code::kNoSpace, "the disk is full") : OkStatus();
  };
  const auto writers = Begin(ToggleMany(device.get(), 3, 1'000'000));
  env_.RunUntilIdleFor(20 * kSecond);
  ASSERT_FALSE(writers->ended);
  Event grown, recorded;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
    if (!IsHeaderSwap(call)) return nullptr;
    return ++held == 1 ? &grown : &recorded;
  };
  const auto resized = Begin(ResizeTask(&node.atoll(), 16 * kMiB));
  ASSERT_EQ(held, 1);
  env_.RunUntilIdleFor(20 * kSecond);
  grown.Set();
  env_.RunUntilIdleFor(kSecond);
  ASSERT_EQ(held, 2);
  EXPECT_FALSE(writers->ended) << "why is not recorded yet";
  recorded.Set();
  env_.RunUntilIdleFor(kSecond);
  EXPECT_TRUE(resized->ended && resized->status.ok()) << resized->status.ToString();
  EXPECT_TRUE(writers->ended);
  EXPECT_EQ(writers->status.code(), Code::kReadOnly) << writers->status.ToString();
  bool over = true;
  EXPECT_TRUE(Begin(ReadMany(device.get(), 1, &over))->ended);
  node.hooks().Clear();
  Close(device);
  (void)node.Stop();
}

// A writer that comes to a full journal long after the last attempt does not wait for the next one.
TEST_F(CheckpointRetry, WhoComesToAFullJournalHasTheCheckpointTriedAtOnce) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  bool enough = false;
  const auto refuse = [&](const StoreCall& call) -> Status {
    if (!IsHeaderSwap(call) || !ComposerIsOpen(node)) return {};
    enough = true;
    return {Code::kNoSpace, "the disk is full"};
  };
  node.hooks().fail = refuse;
  const auto first = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
  ASSERT_TRUE(first->ended && first->status.ok());
  env_.RunUntilIdleFor(100 * kSecond);
  const auto writer = Begin(ToggleMany(device.get(), 1, 100'000));
  env_.RunUntilIdleFor(20 * kSecond);
  EXPECT_FALSE(writer->ended) << "its patience begins when it comes: " << writer->status.ToString();
  node.hooks().fail = nullptr;
  env_.RunUntilIdleFor(2 * kSecond);
  EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
  // Again, and nobody waits meanwhile.
  enough = false;
  node.hooks().fail = refuse;
  const auto again = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
  ASSERT_TRUE(again->ended && again->status.ok());
  env_.RunUntilIdleFor(100 * kSecond);
  node.hooks().fail = nullptr;
  const int64_t before_ns = env_.BootNs();
  const Status written = env_.Run(ToggleMany(device.get(), 1, 100'000));
  EXPECT_TRUE(written.ok()) << written.ToString();
  EXPECT_LT(env_.BootNs() - before_ns, kSecond);
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

// A journal whose sync has failed is given up by the store for as long as it lives.
TEST_F(CheckpointRetry, ADiskThatCannotSyncNewJournalsForAWhileCostsTheirNumbersOnly) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", 8 * kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  const auto before = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(before.ok());
  bool broken = true, enough = false;
  std::set<LogId> given_up;
  node.hooks().fail = [&](const StoreCall& call) -> Status {
    const auto* log = std::get_if<LogId>(&call.target);
    if (log == nullptr || *log == before->header.journal()) return {};
    if (call.op == StoreOp::kAdoptLog && given_up.contains(*log)) {
      return {Code::kFenced, "given up"};
    }
    if (call.op != StoreOp::kSyncLog || !broken) return {};
    given_up.insert(*log);
    enough = true;
    return {Code::kIo, "as told"};
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000, &enough));
  env_.RunUntilIdleFor(300 * kSecond);
  EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
  EXPECT_GT(given_up.size(), 8u);
  broken = false;
  env_.RunUntilIdleFor(60 * kSecond);
  const auto after = env_.Run(ReadHeader(&node.store(), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->header.generation, before->header.generation);
  EXPECT_TRUE(WriteGrain(device.get(), 1, 'z').ok());
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

// Another node has the volume: there is nothing to wait for.
TEST_F(CheckpointRetry, ACheckpointOfAVolumeThatWasTakenOverIsNotTriedAgain) {
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

}  // namespace
}  // namespace atl
