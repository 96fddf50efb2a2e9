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
  using At = std::function<bool(const StoreCall&)>;

  static Task<Status> StopTask(LocalAtoll* atoll) { co_return co_await atoll->Shutdown(); }
  static Task<Status> ResizeTask(LocalAtoll* atoll, uint64_t size) {
    const ResourceRef ref = ResourceRef::Named("v");
    co_return (co_await atoll->Resize(ref, size, true)).status();
  }
  static Task<void> ReadOn(Device* device, const bool* over, Status* out) {
    Bytes data(kSubGrain);
    while (!*over && out->ok()) {
      const Status status = co_await device->Read(kStored * kSubGrain, data);
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

  // A new volume "v" that is open, with data in one grain.
  std::unique_ptr<Device> OpenNew(MemoryNode& node) {
    Hands hands(&env_, &node.atoll());
    EXPECT_TRUE(hands.Create("v", 8 * kMiB).ok());
    auto device = hands.Open("v");
    EXPECT_TRUE(WriteGrain(device.get(), kStored, 'x').ok());
    return device;
  }
  // It is raised by every checkpoint.
  uint32_t Generation(MemoryNode& node) {
    const auto shown = env_.Run(node.atoll().Show(Hands::Ref("v"), false));
    EXPECT_TRUE(shown.ok()) << shown.status().ToString();
    return shown.ok() ? shown->generation : 0;
  }
  // From now on every checkpoint is refused at this call.
  void Refuse(MemoryNode& node, At at, Code code) {
    node.hooks().fail = [this, at = std::move(at), code](const StoreCall& call) -> Status {
      if (!at(call)) return {};
      ++refusals_;
      refused_ = true;
      return {code, "as told"};
    };
  }
  // Changes the map until a checkpoint is refused. In the journal there is room yet.
  void WriteUntilRefused(Device* device, uint64_t tasks = 1) {
    refused_ = false;
    refusals_ = 0;
    const auto writer = Begin(ToggleMany(device, tasks, 1'000'000, &refused_));
    while (!writer->ended && env_.Step()) {
    }
    EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
  }
  void Finish(MemoryNode& node, std::unique_ptr<Device>& device) {
    Close(device);
    EXPECT_TRUE(node.Stop().ok());
  }

  static constexpr uint64_t kStored = 100;
  bool refused_ = false;
  int refusals_ = 0;
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
    At at;
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
    auto device = OpenNew(node);
    const uint32_t before = Generation(node);
    Refuse(node, step.at, step.code);
    WriteUntilRefused(device.get());
    env_.RunUntilIdleFor(60 * kSecond);
    EXPECT_GT(refusals_, 3);
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'y').ok()) << "nobody has waited";
    node.hooks().fail = nullptr;
    env_.RunUntilIdleFor(60 * kSecond);
    EXPECT_GT(Generation(node), before) << "it was made";
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'z').ok());
    Hands hands(&env_, &node.atoll());
    EXPECT_TRUE(hands.Snap("v", "s").ok());
    Close(device);
    EXPECT_EQ(hands.Read("v", kSubGrain, 1), "z");
    EXPECT_TRUE(node.Stop().ok());
  }
}

// Of a checkpoint that is refused, nothing is left to do once a snapshot has begun a new journal.
TEST_F(CheckpointRetry, ASnapshotDoesWhatACheckpointCouldNot) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  Refuse(node, IsHeaderSwap, Code::kNoSpace);
  WriteUntilRefused(device.get());
  env_.RunUntilIdleFor(10 * kSecond);
  node.hooks().fail = nullptr;
  EXPECT_TRUE(Hands(&env_, &node.atoll()).Snap("v", "s").ok());
  const uint32_t before = Generation(node);
  env_.RunUntilIdleFor(100 * kSecond);
  EXPECT_EQ(Generation(node), before);
  Finish(node, device);
}

TEST_F(CheckpointRetry, WhoWaitsForACheckpointThatNeverComesHearsWhy) {
  struct Refusal {
    At at;
    Code code;  // As of a full disk, and of a file system that was remounted read-only.
  };
  for (const Refusal& refusal :
       {Refusal{IsHeaderSwap, Code::kNoSpace}, Refusal{IsNextJournal, Code::kReadOnly}}) {
    SCOPED_TRACE(RowOf(refusal.code).name);
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    auto device = OpenNew(node);
    Refuse(node, refusal.at, refusal.code);
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
  auto device = OpenNew(node);
  Refuse(node, IsHeaderSwap, Code::kNoSpace);
  WriteUntilRefused(device.get(), 16);
  bool over = false;
  const auto load = Begin(ReadMany(device.get(), 8, &over));
  env_.RunUntilIdleFor(100 * kSecond);
  EXPECT_GT(refusals_, 3);
  over = true;
  while (!load->ended && env_.Step()) {
  }
  EXPECT_TRUE(load->status.ok()) << load->status.ToString();
  const Status written = WriteGrain(device.get(), 1, 'y');
  EXPECT_TRUE(written.ok()) << written.ToString();
  node.hooks().fail = nullptr;
  Finish(node, device);
}

TEST_F(CheckpointRetry, AnAttemptThatBeganBeforeAWriterCameDoesNotEndItsPatience) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  Refuse(node, IsNextJournal, Code::kUnavailable);
  WriteUntilRefused(device.get());
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
  Finish(node, device);
}

TEST_F(CheckpointRetry, AShutdownDoesNotWaitForAShrinkThatWaitsForRoom) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  Refuse(node, IsNextJournal, Code::kNoSpace);
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
  auto device = OpenNew(node);
  Refuse(node, IsNextJournal, Code::kNoSpace);
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
  ASSERT_TRUE(writers->ended);
  EXPECT_EQ(writers->status.code(), Code::kReadOnly) << writers->status.ToString();
  Bytes data(kSubGrain);
  EXPECT_TRUE(env_.Run(device->Read(kStored * kSubGrain, data)).ok());
  node.hooks().Clear();
  Close(device);
  (void)node.Stop();
}

// A writer that comes to a full journal long after the last attempt does not wait for the next one.
TEST_F(CheckpointRetry, WhoComesToAFullJournalHasTheCheckpointTriedAtOnce) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  Refuse(node, IsHeaderSwap, Code::kNoSpace);
  WriteUntilRefused(device.get());
  env_.RunUntilIdleFor(100 * kSecond);
  node.hooks().fail = nullptr;
  const int64_t before_ns = env_.BootNs();
  const Status written = env_.Run(ToggleMany(device.get(), 1, 100'000));
  EXPECT_TRUE(written.ok()) << written.ToString();
  EXPECT_LT(env_.BootNs() - before_ns, kSecond);
  Finish(node, device);
}

TEST_F(CheckpointRetry, WhoComesLateHasTheWholePatience) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  Refuse(node, IsHeaderSwap, Code::kNoSpace);
  WriteUntilRefused(device.get());
  env_.RunUntilIdleFor(100 * kSecond);
  const auto writer = Begin(ToggleMany(device.get(), 1, 100'000));
  env_.RunUntilIdleFor(20 * kSecond);
  EXPECT_FALSE(writer->ended) << writer->status.ToString();
  node.hooks().fail = nullptr;
  env_.RunUntilIdleFor(2 * kSecond);
  EXPECT_TRUE(writer->ended && writer->status.ok()) << writer->status.ToString();
  Finish(node, device);
}

// A journal whose sync has failed is given up by the store for as long as it lives.
TEST_F(CheckpointRetry, ADiskThatCannotSyncNewJournalsForAWhileCostsTheirNumbersOnly) {
  MemoryNode node(&env_, &world_);
  auto device = OpenNew(node);
  const uint32_t before = Generation(node);
  bool broken = true;
  std::set<LogId> given_up;
  node.hooks().fail = [&](const StoreCall& call) -> Status {
    const auto* log = std::get_if<LogId>(&call.target);
    if (log == nullptr || log->kind != LogKind::kJournal || log->generation == before) return {};
    if (call.op == StoreOp::kAdoptLog && given_up.contains(*log)) {
      return {Code::kFenced, "given up"};
    }
    if (call.op != StoreOp::kSyncLog || !broken) return {};
    given_up.insert(*log);
    refused_ = true;
    return {Code::kIo, "as told"};
  };
  WriteUntilRefused(device.get());
  env_.RunUntilIdleFor(300 * kSecond);
  EXPECT_GT(given_up.size(), 8u);
  broken = false;
  env_.RunUntilIdleFor(60 * kSecond);
  EXPECT_GT(Generation(node), before);
  EXPECT_TRUE(WriteGrain(device.get(), 1, 'z').ok());
  Finish(node, device);
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
