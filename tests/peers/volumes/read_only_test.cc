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

// A write with runs of zeros ends as any other: not well, once a sync has failed.
TEST_F(ReadOnly, NoWriteIsAcknowledgedAfterAFailedSync) {
  for (const bool detect : {false, true}) {
    SCOPED_TRACE(detect ? "zeros detected" : "as it is");
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    ASSERT_TRUE(hands.Create("v", kMiB).ok());
    auto device = hands.Open("v");
    // What it changes is in the map already.
    Bytes data(32 * kSubGrain);
    std::ranges::fill(std::span(data).first(kSubGrain), std::byte{'b'});
    ASSERT_TRUE(env_.Run(device->Write(0, data, {.detect_zeroes = detect})).ok());
    Event stored;
    int held = 0;
    node.hooks().hold_after = [&](const StoreCall& call) {
      return call.op == StoreOp::kWrite && held++ == 0 ? &stored : nullptr;
    };
    node.hooks().fail = [](const StoreCall& call) -> Status {
      return call.op == StoreOp::kSync ? Status(Code::kIo, "the disk is on fire") : OkStatus();
    };
    const DeviceWriteOptions options{.detect_zeroes = detect};
    const auto write =
        Begin([](Device* to, ConstSpan bytes, DeviceWriteOptions how) -> Task<Status> {
          co_return co_await to->Write(0, bytes, how);
        }(device.get(), data, options));
    ASSERT_EQ(held, 1);
    EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
    EXPECT_FALSE(write->ended);
    stored.Set();
    LetRun();
    EXPECT_TRUE(write->ended);
    EXPECT_EQ(write->status.code(), Code::kReadOnly) << write->status.ToString();
    node.hooks().Clear();
    Close(device);
    (void)node.Stop();
  }
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
