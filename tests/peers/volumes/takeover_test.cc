// SPDX-License-Identifier: Apache-2.0
//
// Locks that change hands while their holder opens, pins, removes or rolls back: who serves a
// volume is in its lock, whatever somebody else could prove a moment before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "peers/mapper/volume_map.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using Outcome = std::optional<Status>;

bool IsSwapOf(const StoreCall& call, RecordKind kind) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key != nullptr && key->kind == kind;
}

Task<void> AcquireTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v");
  out->emplace(co_await atoll->Acquire(ref));
}
Task<void> BreakTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v");
  out->emplace(co_await atoll->BreakLock(ref, false));
}
Task<void> RemoveTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v");
  out->emplace(co_await atoll->Remove(ref));
}
Task<void> RollbackTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v"), snapshot = ResourceRef::Named("s");
  out->emplace((co_await atoll->Rollback(ref, snapshot)).status());
}
Task<void> SnapshotTask(LocalAtoll* atoll, Uuid uuid, Outcome* out) {
  SnapshotSpec spec;
  spec.uuid = uuid;
  spec.volume = ResourceRef::Named("v");
  spec.name = "s";
  out->emplace((co_await atoll->Snapshot(spec)).status());
}

class Takeover : public ::testing::Test {
 protected:
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  void SetUp() override {
    const auto made = hands_.Create("v", kMiB);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    uuid_ = made->uuid;
  }
  void TearDown() override {
    (void)a_.Stop();
    (void)b_.Stop();
  }
  // What was begun runs as far as it can.
  void Settle(int64_t time_ns = 10 * kMillisecond) { env_.RunUntilIdleFor(time_ns); }
  std::string LockMode() {
    const auto lock = env_.Run(a_.atoll().GetLock(Hands::Ref("v")));
    return lock.ok() ? lock->mode : lock.status().ToString();
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode a_{&env_, &world_, {.name = "a"}};
  MemoryNode b_{&env_, &world_, {.name = "b"}};
  Hands hands_{&env_, &a_.atoll()};
  Hands elsewhere_{&env_, &b_.atoll()};
  Uuid uuid_;
};

// B has read which blob is current; A snapshots, and gives that blob up; then B can adopt it.
TEST_F(Takeover, ALivingHolderThatPinsMeanwhileKeepsItsLock) {
  auto device = hands_.Open("v");
  const Bytes data(kSubGrain, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  b_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  Outcome other;
  Spawn(AcquireTask(&b_.atoll(), &other));
  Settle();
  ASSERT_TRUE(b_.hooks().stopped.is_set());
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  Settle();
  b_.hooks().go.Set();
  Settle(12 * kSecond);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->code(), Code::kBusy) << other->ToString();
  EXPECT_EQ(LockMode(), "writer");
  EXPECT_EQ(elsewhere_.Remove("v").code(), Code::kBusy);
  EXPECT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  EXPECT_TRUE(env_.Run(a_.store().Adopt(BlobId{uuid_, 1}, 0)).ok()) << "a frozen blob is nobody's";
  env_.Run(CloseTask(device.get()));
}

// A has published the new epoch and has not adopted its blob yet.
TEST_F(Takeover, AHolderInTheMiddleOfAPinIsNotTakenForGone) {
  auto device = hands_.Open("v");
  const Bytes data(kSubGrain, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  a_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  Outcome snapped, other;
  Spawn(SnapshotTask(&a_.atoll(), env_.NewUuid(), &snapped));
  Settle();
  ASSERT_TRUE(a_.hooks().stopped.is_set());
  Spawn(AcquireTask(&b_.atoll(), &other));
  Settle(12 * kSecond);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->code(), Code::kBusy) << other->ToString();
  a_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(snapped.has_value());
  EXPECT_TRUE(snapped->ok()) << snapped->ToString();
  EXPECT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  EXPECT_EQ(LockMode(), "writer");
  env_.Run(CloseTask(device.get()));
}

// B proves rightly that nobody has the volume open, for A is only about to; then B fails.
TEST_F(Takeover, AnOpenThatFailsAfterATakeoverLeavesNobodyWithoutALock) {
  a_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  b_.hooks().fail = [](const StoreCall& call) {
    return call.op == StoreOp::kAdoptLog ? Status(Code::kIo, "no") : OkStatus();
  };
  Outcome opened, other;
  Spawn(AcquireTask(&a_.atoll(), &opened));
  Settle();
  ASSERT_TRUE(a_.hooks().stopped.is_set());
  Spawn(AcquireTask(&b_.atoll(), &other));
  Settle();
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->code(), Code::kIo) << other->ToString();
  a_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(opened.has_value());
  EXPECT_TRUE(opened->ok()) << opened->ToString();
  EXPECT_EQ(LockMode(), "writer");
  EXPECT_EQ(elsewhere_.Remove("v").code(), Code::kBusy);
  EXPECT_TRUE(hands_.Write("v", 0, "mine", true).ok());
}

TEST_F(Takeover, AnUnlockBesideAnOpeningHolderLeavesItItsLock) {
  a_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  b_.hooks().stops = [](const StoreCall& call) { return IsSwapOf(call, RecordKind::kLock); };
  Outcome opened, freed;
  Spawn(AcquireTask(&a_.atoll(), &opened));
  Settle();
  ASSERT_TRUE(a_.hooks().stopped.is_set());
  Spawn(BreakTask(&b_.atoll(), &freed));
  Settle();
  ASSERT_TRUE(b_.hooks().stopped.is_set()) << "the proof is made, the lock is about to be freed";
  a_.hooks().go.Set();
  Settle();
  b_.hooks().go.Set();
  Settle(12 * kSecond);
  ASSERT_TRUE(opened.has_value() && freed.has_value());
  EXPECT_TRUE(opened->ok()) << opened->ToString();
  EXPECT_EQ(LockMode(), "writer");
  EXPECT_EQ(elsewhere_.Remove("v").code(), Code::kBusy);
}

TEST_F(Takeover, AnUnlockRefusesASnapshotThatIsBeingRead) {
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  auto reader = hands_.Open("s");
  Bytes out(512);
  ASSERT_TRUE(env_.Run(reader->Read(0, out)).ok());
  EXPECT_EQ(env_.Run(b_.atoll().BreakLock(Hands::Ref("s"), false)).code(), Code::kBusy);
  EXPECT_EQ(elsewhere_.Remove("s").code(), Code::kBusy);
  EXPECT_TRUE(env_.Run(b_.atoll().BreakLock(Hands::Ref("s"), true)).ok());
  env_.Run(CloseTask(reader.get()));
}

TEST_F(Takeover, ARemovalWhoseMarkWasBrokenTakesNothingFromWhoOpenedTheVolume) {
  a_.hooks().stops = [](const StoreCall& call) { return IsSwapOf(call, RecordKind::kHeader); };
  Outcome removed;
  Spawn(RemoveTask(&a_.atoll(), &removed));
  Settle();
  ASSERT_TRUE(a_.hooks().stopped.is_set());
  EXPECT_EQ(env_.Run(b_.atoll().BreakLock(Hands::Ref("v"), false)).code(), Code::kBusy);
  ASSERT_TRUE(env_.Run(b_.atoll().BreakLock(Hands::Ref("v"), true)).ok());
  ASSERT_TRUE(elsewhere_.Write("v", 0, "mine", true).ok());
  a_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->code(), Code::kBusy) << removed->ToString();
  EXPECT_EQ(LockMode(), "writer") << "a mark that is not its own any more is not taken back";
  EXPECT_EQ(elsewhere_.Read("v", 0, 4), "mine");
}

// A waits for a blob; B, which has found nobody in it, opens the volume and begins a new epoch.
TEST_F(Takeover, ARollbackThatWasOvertakenByAnOpenLeavesTheVolumeAlone) {
  ASSERT_TRUE(hands_.Write("v", 0, "then").ok());
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  ASSERT_TRUE(env_.Run(a_.atoll().Release(Hands::Ref("v"))).ok());
  a_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  Outcome rolled;
  Spawn(RollbackTask(&a_.atoll(), &rolled));
  Settle();
  ASSERT_TRUE(a_.hooks().stopped.is_set());
  auto device = elsewhere_.Open("v");
  const std::string text = "later";
  ASSERT_TRUE(env_.Run(device->Write(0, AsBytes(text), {})).ok());
  ASSERT_TRUE(elsewhere_.Snap("v", "s2").ok());
  ASSERT_TRUE(env_.Run(device->Write(0, AsBytes(text), {})).ok());
  Settle();
  a_.hooks().go.Set();
  Settle(12 * kSecond);
  ASSERT_TRUE(rolled.has_value());
  EXPECT_EQ(rolled->code(), Code::kBusy) << rolled->ToString();
  EXPECT_TRUE(env_.Run(device->Write(kSubGrain, AsBytes(text), {})).ok());
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  EXPECT_EQ(elsewhere_.Read("v", 0, 5), "later");
  env_.Run(CloseTask(device.get()));
}

// B was sealed out, and its process still holds all that it might have prepared to go on in.
TEST_F(Takeover, ARollbackGoesOnInWhatNoEarlierHolderCanHavePrepared) {
  ASSERT_TRUE(hands_.Write("v", 0, "then").ok());
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  ASSERT_TRUE(hands_.Write("v", 0, "more", true).ok());
  ASSERT_TRUE(env_.Run(a_.atoll().Release(Hands::Ref("v"))).ok());
  const auto found = env_.Run(ReadHeader(&a_.store(), uuid_, ReadFor::kAct));
  ASSERT_TRUE(found.ok());
  const Header& header = found->header;
  for (uint32_t ahead = 1; ahead <= VolumeMap::kMostAhead; ++ahead) {
    const uint32_t epoch = header.epoch + ahead, generation = header.generation + ahead;
    ASSERT_TRUE(env_.Run(b_.store().Adopt(BlobId{uuid_, epoch, 0}, 0)).ok());
    for (const uint32_t of : {header.epoch, epoch}) {
      ASSERT_TRUE(env_.Run(b_.store().AdoptLog(LogId::Journal(uuid_, of, generation), 0)).ok());
    }
  }
  const Status rolled = hands_.Rollback("v", "s");
  ASSERT_TRUE(rolled.ok()) << rolled.ToString();
  EXPECT_EQ(hands_.Read("v", 0, 4), "then");
  EXPECT_TRUE(hands_.Write("v", 0, "next", true).ok());
  EXPECT_EQ(hands_.Read("v", 0, 4), "next");
}

}  // namespace
}  // namespace atl
