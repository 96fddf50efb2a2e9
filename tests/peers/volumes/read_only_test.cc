// SPDX-License-Identifier: Apache-2.0
//
// Promise 4: the reason why a volume is read-only is recorded before anybody is told.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class ReadOnly : public Disturbed {
 protected:
  static Task<Status> FlushTask(Device* device) { co_return co_await device->Flush(); }
  static Task<Status> WriteTask(Device* device, uint64_t offset, ConstSpan data) {
    co_return co_await device->Write(offset, data, {});
  }
};

TEST_F(ReadOnly, WhoComesWhileTheReasonIsBeingRecordedWaitsForIt) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  Event recorded;
  node.hooks().fail = [](const StoreCall& call) -> Status {
    return call.op == StoreOp::kSync ? Status(Code::kIo, "the disk is on fire") : OkStatus();
  };
  node.hooks().hold_before = [&](const StoreCall& call) {
    return IsHeaderSwap(call) ? &recorded : nullptr;
  };
  const auto first = Begin(FlushTask(device.get()));
  const Bytes data(kSubGrain, std::byte{'b'});
  const auto second = Begin(FlushTask(device.get()));
  const auto overwrite = Begin(WriteTask(device.get(), 0, data));
  const auto write = Begin(WriteTask(device.get(), kSubGrain, data));
  for (const auto& pending : {first, second, overwrite, write}) {
    EXPECT_FALSE(pending->ended) << "told before it was recorded: " << pending->status.ToString();
  }
  recorded.Set();
  LetRun();
  for (const auto& pending : {first, second, overwrite, write}) {
    EXPECT_TRUE(pending->ended);
    EXPECT_EQ(pending->status.code(), Code::kReadOnly) << pending->status.ToString();
  }
  EXPECT_FALSE(ComposerOf(node).failure_unrecorded());
  Close(device);
  (void)node.Stop();
}

TEST_F(ReadOnly, AReasonThatCannotBeRecordedIsKnownToTheNode) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  EXPECT_FALSE(ComposerOf(node).failure_unrecorded());
  node.hooks().fail = [](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kSync && !IsHeaderSwap(call)) return {};
    return {Code::kIo, "the disk is sick"};
  };
  EXPECT_FALSE(env_.Run(device->Flush()).ok());
  EXPECT_TRUE(ComposerOf(node).failure_unrecorded());
  Close(device);
  (void)node.Stop();
}

}  // namespace
}  // namespace atl
