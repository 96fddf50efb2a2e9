// SPDX-License-Identifier: Apache-2.0
//
// Clients that come while their own node works on the closed volume: they wait for its end, for
// they would get in under the same lock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using Outcome = std::optional<Status>;

bool IsHeaderSwap(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key != nullptr && key->kind == RecordKind::kHeader;
}

Task<void> RollbackTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v"), snapshot = ResourceRef::Named("s");
  out->emplace((co_await atoll->Rollback(ref, snapshot)).status());
}
Task<void> RemoveTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v");
  out->emplace(co_await atoll->Remove(ref));
}
Task<void> AcquireTask(LocalAtoll* atoll, Outcome* out) {
  const ResourceRef ref = ResourceRef::Named("v");
  out->emplace(co_await atoll->Acquire(ref));
}
Task<void> WriteTask(Device* device, uint64_t offset, std::string text, Outcome* out) {
  Status status = co_await device->Write(offset, AsBytes(text), {});
  if (status.ok()) status = co_await device->Flush();
  out->emplace(status);
}

class Exclusion : public ::testing::Test {
 protected:
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  void Settle() { env_.RunUntilIdleFor(10 * kMillisecond); }
  std::string LockMode() {
    const auto lock = env_.Run(node_.atoll().GetLock(Hands::Ref("v")));
    return lock.ok() ? lock->mode : lock.status().ToString();
  }
  void TearDown() override { EXPECT_TRUE(node_.Stop().ok()); }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
};

TEST_F(Exclusion, AClientThatComesWhileARollbackRunsKeepsWhatItIsAcknowledged) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  ASSERT_TRUE(hands_.Write("v", 0, "then", true).ok());
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref("v"))).ok());
  auto device = hands_.Open("v");
  node_.hooks().stops = [](const StoreCall& call) { return call.op == StoreOp::kAdopt; };
  Outcome rolled, written;
  Spawn(RollbackTask(&node_.atoll(), &rolled));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  Spawn(WriteTask(device.get(), 0, "later", &written));
  Settle();
  EXPECT_FALSE(written.has_value());
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(rolled.has_value() && written.has_value());
  EXPECT_TRUE(rolled->ok()) << rolled->ToString();
  EXPECT_TRUE(written->ok()) << written->ToString();
  EXPECT_EQ(LockMode(), "writer") << "the volume is open here";
  env_.Run(CloseTask(device.get()));
  ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref("v"))).ok());
  EXPECT_EQ(hands_.Read("v", 0, 5), "later");
}

TEST_F(Exclusion, AClientThatComesWhileItsVolumeIsRemovedIsTold) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  auto device = hands_.Open("v");
  node_.hooks().stops = IsHeaderSwap;
  Outcome removed, written;
  Spawn(RemoveTask(&node_.atoll(), &removed));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  Spawn(WriteTask(device.get(), 0, "lost", &written));
  Settle();
  EXPECT_FALSE(written.has_value());
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(removed.has_value() && written.has_value());
  EXPECT_TRUE(removed->ok()) << removed->ToString();
  EXPECT_EQ(written->code(), Code::kNotFound) << written->ToString();
  env_.Run(CloseTask(device.get()));
}

TEST_F(Exclusion, OneOfSeveralRemovalsAtOnceSucceeds) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  Outcome outcomes[3];
  for (Outcome& outcome : outcomes) Spawn(RemoveTask(&node_.atoll(), &outcome));
  Settle();
  int removed = 0;
  for (const Outcome& outcome : outcomes) {
    ASSERT_TRUE(outcome.has_value());
    if (outcome->ok()) ++removed;
    if (!outcome->ok()) EXPECT_EQ(outcome->code(), Code::kNotFound) << outcome->ToString();
  }
  EXPECT_EQ(removed, 1);
}

TEST_F(Exclusion, WhatIsInTheWayIsNamedWithTheWayOut) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  for (const Status& status :
       {hands_.Rollback("v", "s"), hands_.Remove("v"), hands_.Resize("v", kMiB / 2)}) {
    EXPECT_EQ(status.code(), Code::kBusy) << status.ToString();
    EXPECT_THAT(status.message(), ::testing::HasSubstr("'atoll close v' first"));
  }
  auto device = hands_.Open("v");
  Bytes out(kSubGrain);
  ASSERT_TRUE(env_.Run(device->Read(0, out)).ok());
  EXPECT_THAT(hands_.Rollback("v", "s").message(),
              ::testing::HasSubstr("by 1 client; disconnect it first"));
  env_.Run(CloseTask(device.get()));
}

TEST_F(Exclusion, AClientThatComesWhileAnAdministratorEndsAReadOnlyStateMayWrite) {
  const auto made = hands_.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto header = env_.Run(ReadHeader(&node_.store(), made->uuid, ReadFor::kAct));
  ASSERT_TRUE(header.ok());
  const HeaderChange spoil = [](Header* next) -> Status {
    next->read_only_reason = "the disk was on fire";
    return {};
  };
  ASSERT_TRUE(env_.Run(ChangeHeader(&env_, &node_.store(), &*header, spoil)).ok());
  auto device = hands_.Open("v");
  node_.hooks().stops = IsHeaderSwap;
  Outcome acquired, written;
  Spawn(AcquireTask(&node_.atoll(), &acquired));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  Spawn(WriteTask(device.get(), 0, "here", &written));
  Settle();
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(acquired.has_value() && written.has_value());
  EXPECT_TRUE(acquired->ok()) << acquired->ToString();
  EXPECT_TRUE(written->ok()) << written->ToString();
  env_.Run(CloseTask(device.get()));
}

}  // namespace
}  // namespace atl
