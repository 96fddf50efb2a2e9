// SPDX-License-Identifier: Apache-2.0
//
// Maps with more nodes than are kept in memory.
#include "peers/mapper/map_tree.h"
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class LargeMap : public Disturbed {
 protected:
  // A volume whose tree has `leaves` leaves, in nobody's memory.
  void Make(MemoryNode& node, uint64_t leaves) {
    Hands hands(&env_, &node.atoll());
    ASSERT_TRUE(hands.Create("v", leaves * kMiB).ok());
    auto device = hands.Open("v");
    for (uint64_t i = 0; i < leaves; ++i) {
      ASSERT_TRUE(WriteGrain(device.get(), i * kMiB / kSubGrain, 'x').ok());
    }
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(WriteGrain(device.get(), 1, 'y').ok());
      ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(i)).ok());
    }
    LetRun();
    Close(device);
    ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
  }
  static Task<Status> ExtentsTask(Device* device, ByteRange range, size_t limit, size_t* count) {
    auto extents = co_await device->Extents(range, limit);
    if (extents.ok()) *count = extents->size();
    co_return extents.status();
  }
};

TEST_F(LargeMap, ExtentsReadEachNodeOnce) {
  constexpr uint64_t kLeaves = MapTree::kCachedNodes / 2 + 2048;
  MemoryNode node(&env_, &world_);
  ASSERT_NO_FATAL_FAILURE(Make(node, kLeaves));
  Hands hands(&env_, &node.atoll());
  auto device = hands.Open("v");
  Bytes some(512);
  ASSERT_TRUE(env_.Run(device->Read(0, some)).ok());
  uint64_t loads = 0;
  constexpr uint64_t kMost = kLeaves + kLeaves / 8;
  node.hooks().fail = [&loads](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kReadLog) return {};
    return ++loads > kMost ? Status(Code::kLimit, "it reads the same nodes again") : OkStatus();
  };
  size_t count = 0;
  const Status status =
      env_.Run(ExtentsTask(device.get(), {0, kLeaves * kMiB}, 4 * kLeaves, &count));
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_GE(count, 2 * kLeaves - 1) << "each leaf has data and a hole";
  EXPECT_GE(loads, kLeaves / 2) << "they were not in memory";
  node.hooks().fail = nullptr;
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(LargeMap, ASnapshotComesInBetweenTheStepsOfALongSearchForExtents) {
  MemoryNode node(&env_, &world_, {.max_delay_ns = 100 * kMicrosecond});
  ASSERT_NO_FATAL_FAILURE(Make(node, 1024));
  Hands hands(&env_, &node.atoll());
  auto device = hands.Open("v");
  Bytes some(512);
  ASSERT_TRUE(env_.Run(device->Read(0, some)).ok());
  size_t count = 0;
  const auto extents = Begin(ExtentsTask(device.get(), {0, kGiB}, 1 << 20, &count));
  ASSERT_FALSE(extents->ended);
  EXPECT_TRUE(hands.Snap("v", "between").ok());
  EXPECT_FALSE(extents->ended) << "the snapshot waited for all of it";
  while (!extents->ended && env_.Step()) {
  }
  EXPECT_TRUE(extents->status.ok()) << extents->status.ToString();
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

}  // namespace
}  // namespace atl
