// SPDX-License-Identifier: Apache-2.0
//
// Writes that come in just while a pin goes on from one journal to the next, held at each of the
// two places where the journal is waited for.
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

class PinUnderLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(hands_.Create("v", 128 * kMiB).ok());
    device_ = hands_.Open("v");
    ASSERT_TRUE(env_.Run(device_->Write(0, data_, {})).ok());
  }
  void TearDown() override {
    env_.Run(Close());
    device_.reset();
    EXPECT_TRUE(node_.Stop().ok());
  }

  // From now on the next call of `op`, on a header if it is of a record, waits until Release.
  void HoldNext(StoreOp op) {
    node_.hooks().hold_before = [this, op](const StoreCall& call) -> Event* {
      const auto* key = std::get_if<RecordKey>(&call.target);
      const bool it = call.op == op && (key == nullptr || key->kind == RecordKind::kHeader);
      return it && !std::exchange(holds_, true) ? &released_ : nullptr;
    };
  }
  bool RunUntilHeld() {
    while (!holds_ && env_.Step()) {
    }
    return holds_;
  }
  void Snapshot() { tasks_.Run(SnapshotTask()); }
  Task<void> SnapshotTask() {
    SnapshotSpec spec;
    spec.uuid = env_.NewUuid();
    spec.volume = Hands::Ref("v");
    spec.name = "s";
    const auto made = co_await node_.atoll().Snapshot(spec);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    snapshot_is_made_ = true;
  }
  void Write(uint64_t offset) { tasks_.Run(WriteTask(offset)); }
  Task<void> WriteTask(uint64_t offset) {
    const Status status = co_await device_->Write(offset, data_, {});
    EXPECT_TRUE(status.ok()) << status.ToString();
    ++written_;
  }
  Task<int> Join() {
    co_await tasks_.Join();
    co_return 0;
  }
  Task<int> Close() {
    co_await device_->Close();
    co_return 0;
  }

  const Bytes data_ = Bytes(kSubGrain, std::byte{'x'});
  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
  std::unique_ptr<Device> device_;
  TaskGroup tasks_;
  bool holds_ = false;
  Event released_;
  bool snapshot_is_made_ = false;
  uint64_t written_ = 0;
};

TEST_F(PinUnderLoad, AWriteGoesOnWhileTheNextJournalIsMade) {
  HoldNext(StoreOp::kAdoptLog);
  Snapshot();
  ASSERT_TRUE(RunUntilHeld());
  Write(kMiB);
  for (int i = 0; i < 100; ++i) env_.Step();
  EXPECT_EQ(written_, 1u);
  EXPECT_FALSE(snapshot_is_made_);
  released_.Set();
  env_.Run(Join());
  EXPECT_EQ(hands_.Read("v", kMiB, 3), std::string(3, 'x'));
  EXPECT_EQ(hands_.Read("s", kMiB, 3), std::string(3, 'x')) << "acknowledged before the pin";
}

TEST_F(PinUnderLoad, WritesThatComeWhileTheHeaderIsSwappedGoToTheNextJournal) {
  HoldNext(StoreOp::kSwapRecord);
  Snapshot();
  ASSERT_TRUE(RunUntilHeld());
  for (uint64_t i = 0; i < 2'000; ++i) Write(kMiB + i * kSubGrain);
  for (int i = 0; i < 100; ++i) env_.Step();
  EXPECT_EQ(written_, 0u);
  released_.Set();
  env_.Run(Join());
  EXPECT_EQ(written_, 2'000u);
  EXPECT_EQ(hands_.Read("v", kMiB + 1'999 * kSubGrain, 3), std::string(3, 'x'));
  EXPECT_EQ(hands_.Read("s", kMiB, 3), std::string(3, '\0'));
}

TEST_F(PinUnderLoad, AWriteThatWaitsForRoomInAJournalGetsItInTheNext) {
  // More at once than the journal has room for.
  HoldNext(StoreOp::kReserve);
  for (uint64_t i = 0; i < 20'000; ++i) Write(kMiB + i * kSubGrain);
  ASSERT_TRUE(RunUntilHeld());
  Snapshot();
  while (!snapshot_is_made_ && env_.Step()) {
  }
  ASSERT_TRUE(snapshot_is_made_);
  EXPECT_LT(written_, 20'000u);
  released_.Set();
  env_.Run(Join());
  EXPECT_EQ(written_, 20'000u);
  EXPECT_EQ(hands_.Read("v", kMiB + 19'999 * kSubGrain, 3), std::string(3, 'x'));
}

}  // namespace
}  // namespace atl
