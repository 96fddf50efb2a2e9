// SPDX-License-Identifier: Apache-2.0
//
// Requests that meet the end of something: of the buffers, of the space, of the volume.
#include <algorithm>

#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class Requests : public Disturbed {
 protected:
  static Task<Status> WriteTask(Device* device, uint64_t offset, ConstSpan data) {
    co_return co_await device->Write(offset, data, {});
  }
  // As a front end does: the buffer first, then the payload into it.
  static Task<Status> ReceiveTask(Device* device, uint64_t offset, size_t length) {
    Buffer buffer = co_await device->buffers().Get(length);
    for (int i = 0; i < 3; ++i) co_await Yield{};
    std::ranges::fill(buffer.span(), std::byte{'p'});
    co_return co_await device->Write(offset, buffer.span(), {});
  }
  static Task<Status> ShrinkTask(LocalAtoll* atoll, std::string name, uint64_t size) {
    const ResourceRef ref = ResourceRef::Named(std::move(name));
    co_return (co_await atoll->Resize(ref, size, true)).status();
  }
};

TEST_F(Requests, UnalignedWritersWhoHoldAllPayloadBuffersGoOn) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 256 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  std::vector<std::shared_ptr<Pending>> writers;
  for (uint64_t i = 1; i <= 3; ++i) {
    writers.push_back(Begin(ReceiveTask(device.get(), i * 64 * kMiB - 512, 32 * kMiB)));
  }
  env_.RunUntilIdleFor(kSecond);
  for (const auto& writer : writers) {
    ASSERT_TRUE(writer->ended) << "it waits for a buffer that those hold who wait for one";
    EXPECT_TRUE(writer->status.ok()) << writer->status.ToString();
  }
  Close(device);
  EXPECT_EQ(hands.Read("v", 64 * kMiB - 513, 3), std::string("\0pp", 3));
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(Requests, AFuaOverwriteThatMeetsAFullStoreIsAnErrorOfItsOwn) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  ASSERT_TRUE(env_.Run(device->Flush()).ok());
  const Bytes data(512, std::byte{'b'});
  Code code = Code::kNoSpace;
  node.hooks().fail = [&code](const StoreCall& call) -> Status {
    return call.op == StoreOp::kWrite ? Status(code, "as told") : OkStatus();
  };
  EXPECT_EQ(env_.Run(device->Write(0, data, {.fua = true})).code(), Code::kNoSpace);
  node.hooks().fail = nullptr;
  EXPECT_TRUE(env_.Run(device->Write(0, data, {.fua = true})).ok()) << "space was made";
  // Here it may be the sync that failed.
  code = Code::kIo;
  node.hooks().fail = [&code](const StoreCall& call) -> Status {
    return call.op == StoreOp::kWrite ? Status(code, "as told") : OkStatus();
  };
  EXPECT_EQ(env_.Run(device->Write(0, data, {.fua = true})).code(), Code::kReadOnly);
  node.hooks().fail = nullptr;
  EXPECT_EQ(env_.Run(device->Write(0, data, {.fua = true})).code(), Code::kReadOnly);
  Close(device);
  (void)node.Stop();
}

TEST_F(Requests, AWriteThatWaitedWhileItsVolumeShrankIsRefused) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");  // Connected, and not in it yet.
  Event swapped;
  bool held = false;
  node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
    if (held || !IsHeaderSwap(call) || !ComposerIsOpen(node)) return nullptr;
    held = true;
    return &swapped;
  };
  const auto shrink = Begin(ShrinkTask(&node.atoll(), "v", 64 * kKiB));
  ASSERT_TRUE(held) << "the gate is closed";
  ASSERT_FALSE(shrink->ended);
  const Bytes data(kSubGrain, std::byte{'x'});
  const auto behind = Begin(WriteTask(device.get(), 512 * kKiB, data));
  const auto inside = Begin(WriteTask(device.get(), 0, data));
  EXPECT_FALSE(behind->ended);
  swapped.Set();
  LetRun();
  ASSERT_TRUE(shrink->ended);
  EXPECT_TRUE(shrink->status.ok()) << shrink->status.ToString();
  EXPECT_EQ(behind->status.code(), Code::kInvalid) << behind->status.ToString();
  EXPECT_TRUE(inside->ended && inside->status.ok()) << inside->status.ToString();
  Close(device);
  ASSERT_TRUE(hands.Resize("v", kMiB).ok());
  EXPECT_EQ(hands.Read("v", 512 * kKiB, 4), std::string(4, '\0'));
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(Requests, AWriteToTheTailThatAShrinkHasZeroedStopsTheShrink) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 64 * kKiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(hands.Write("v", 0, std::string(64 * kKiB, 'a')).ok());
  ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
  Event synced;
  bool held = false;
  node.hooks().hold_before = [&](const StoreCall& call) -> Event* {
    if (held || call.op != StoreOp::kSync || !ComposerIsOpen(node)) return nullptr;
    held = true;
    return &synced;
  };
  constexpr uint64_t kNewSize = kSubGrain + 512;
  const auto shrink = Begin(ShrinkTask(&node.atoll(), "v", kNewSize));
  ASSERT_TRUE(held) << "the range is zeroed, the size is not pinned";
  const Bytes data(512, std::byte{'x'});
  const auto tail = Begin(WriteTask(device.get(), kNewSize + 512, data));
  EXPECT_TRUE(tail->ended && tail->status.ok()) << tail->status.ToString();
  synced.Set();
  LetRun();
  ASSERT_TRUE(shrink->ended);
  EXPECT_EQ(shrink->status.code(), Code::kBusy) << shrink->status.ToString();
  Close(device);
  EXPECT_TRUE(hands.Resize("v", kNewSize).ok()) << "nobody is in it now";
  ASSERT_TRUE(hands.Resize("v", 64 * kKiB).ok());
  EXPECT_EQ(hands.Read("v", kNewSize, 1024), std::string(1024, '\0'));
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(Requests, APrefetchWhoseDeviceIsClosedMeanwhileEnds) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  for (uint64_t mib = 0; mib < 8; ++mib) {
    ASSERT_TRUE(WriteGrain(device.get(), mib * (kMiB / kSubGrain), 'x').ok());
  }
  Event read;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return call.op == StoreOp::kRead && ++held == 2 ? &read : nullptr;
  };
  const auto prefetch = Begin([](Device* from) -> Task<Status> {
    co_return co_await from->Prefetch({0, 8 * kMiB});
  }(device.get()));
  ASSERT_EQ(held, 2);
  Leave(device.get());
  read.Set();
  LetRun();
  ASSERT_TRUE(prefetch->ended);
  EXPECT_EQ(prefetch->status.code(), Code::kUnavailable) << prefetch->status.ToString();
  EXPECT_TRUE(node.Stop().ok());
}

}  // namespace
}  // namespace atl
