// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

class VolumeTest : public ::testing::Test {
 protected:
  VolumeTest() : node_(&env_, &world_) {}
  ~VolumeTest() override { EXPECT_TRUE(node_.Stop().ok()); }

  Result<ResourceInfo> Create(std::string name, uint64_t size) {
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = std::move(name);
    spec.size = size;
    return env_.Run(node_.atoll().Create(spec));
  }
  Result<ResourceInfo> Clone(std::string name, std::string snapshot, uint64_t size = 0) {
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = std::move(name);
    spec.size = size;
    spec.from = ResourceRef::Named(std::move(snapshot));
    return env_.Run(node_.atoll().Create(spec));
  }
  Result<ResourceInfo> Snap(std::string volume, std::string name) {
    SnapshotSpec spec;
    spec.uuid = env_.NewUuid();
    spec.volume = ResourceRef::Named(std::move(volume));
    spec.name = std::move(name);
    return env_.Run(node_.atoll().Snapshot(spec));
  }
  Status Write(std::string name, uint64_t offset, std::string text) {
    return env_.Run(WriteTask(std::move(name), offset, std::move(text)));
  }
  Task<Status> WriteTask(std::string name, uint64_t offset, std::string text) {
    const ResourceRef ref = ResourceRef::Named(name);
    CO_ASSIGN_OR_RETURN(auto device, co_await node_.atoll().Open(ref, OpenMode::kReadWrite));
    const Status status = co_await device->Write(offset, AsBytes(text), {});
    co_await device->Close();
    co_return status;
  }
  std::string Read(std::string name, uint64_t offset, size_t length) {
    return env_.Run(ReadTask(std::move(name), offset, length));
  }
  Task<std::string> ReadTask(std::string name, uint64_t offset, size_t length) {
    const ResourceRef ref = ResourceRef::Named(name);
    auto device = co_await node_.atoll().Open(ref, OpenMode::kReadOnly);
    if (!device.ok()) co_return device.status().ToString();
    std::string text(length, '?');
    const MutSpan out(reinterpret_cast<std::byte*>(text.data()), text.size());
    const Status status = co_await (*device)->Read(offset, out);
    co_await (*device)->Close();
    co_return status.ok() ? text : status.ToString();
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_;
};

TEST_F(VolumeTest, AFreshVolumeReadsAsZeros) {
  ASSERT_TRUE(Create("v", kPiB).ok());
  EXPECT_EQ(Read("v", kPiB - 4, 4), std::string(4, '\0'));
}

TEST_F(VolumeTest, ReadsBackWhatWasWrittenAtAnyByte) {
  ASSERT_TRUE(Create("v", kTiB).ok());
  EXPECT_TRUE(Write("v", 4095, "abc").ok());
  EXPECT_EQ(Read("v", 4094, 5), std::string("\0abc\0", 5));
}

TEST_F(VolumeTest, ASnapshotKeepsWhatTheVolumeLoses) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 0, "old old").ok());
  const auto snapshot = Snap("v", "v@1");
  ASSERT_TRUE(snapshot.ok()) << snapshot.status().ToString();
  EXPECT_TRUE(Write("v", 0, "new").ok());
  EXPECT_EQ(Read("v", 0, 7), "new old");
  EXPECT_EQ(Read("v@1", 0, 7), "old old");
  EXPECT_EQ(Write("v@1", 0, "x").code(), Code::kReadOnly);
}

TEST_F(VolumeTest, ACloneIsItsOwnAndMayBeLarger) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 0, "base").ok());
  ASSERT_TRUE(Snap("v", "s").ok());
  const auto clone = Clone("c", "s", 2 * kMiB);
  ASSERT_TRUE(clone.ok()) << clone.status().ToString();
  EXPECT_TRUE(Write("c", 2, "XX").ok());
  EXPECT_EQ(Read("c", 0, 4), "baXX");
  EXPECT_EQ(Read("v", 0, 4), "base");
  EXPECT_EQ(Read("c", 2 * kMiB - 1, 1), std::string(1, '\0'));
  EXPECT_EQ(Clone("d", "s", 512).code(), Code::kInvalid);
  EXPECT_EQ(Clone("d", "v").code(), Code::kInvalid);
}

TEST_F(VolumeTest, RollbackBringsBackContentAndSize) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 0, "first").ok());
  ASSERT_TRUE(Snap("v", "s").ok());
  EXPECT_TRUE(Write("v", 0, "other").ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Resize(ResourceRef::Named("v"), 2 * kMiB, false)).ok());
  const auto back =
      env_.Run(node_.atoll().Rollback(ResourceRef::Named("v"), ResourceRef::Named("s")));
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->size, kMiB);
  EXPECT_EQ(Read("v", 0, 5), "first");
}

TEST_F(VolumeTest, ShrinkThenGrowShowsZeros) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 100'000, "secret").ok());
  const auto ref = ResourceRef::Named("v");
  EXPECT_EQ(env_.Run(node_.atoll().Resize(ref, 51'200, false)).code(), Code::kInvalid);
  const auto shrunk = env_.Run(node_.atoll().Resize(ref, 51'200, true));
  ASSERT_TRUE(shrunk.ok()) << shrunk.status().ToString();
  ASSERT_TRUE(env_.Run(node_.atoll().Resize(ref, kMiB, false)).ok());
  EXPECT_EQ(Read("v", 100'000, 6), std::string(6, '\0'));
}

TEST_F(VolumeTest, ADeviceThatIsConnectedFollowsTheSize) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  const auto ref = ResourceRef::Named("v");
  const auto open = [&] { return env_.Run(node_.atoll().Open(ref, OpenMode::kReadWrite)); };
  auto idle = open();
  ASSERT_TRUE(idle.ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Resize(ref, 51'200, true)).ok());
  Bytes out(512);
  const Status beyond = env_.Run((*idle)->Read(51'200, out));
  EXPECT_EQ(beyond.code(), Code::kInvalid);
  EXPECT_THAT(std::string(beyond.message()), ::testing::HasSubstr("of its 51200"));
  EXPECT_EQ((*idle)->info().size, 51'200u);
  auto other = open();
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Resize(ref, 2 * kMiB, false)).ok());
  EXPECT_TRUE(env_.Run((*idle)->Read(2 * kMiB - 512, out)).ok());
  EXPECT_EQ((*other)->info().size, 51'200u) << "nothing was asked of it";
  EXPECT_TRUE(env_.Run((*other)->Refresh()).ok());
  EXPECT_EQ((*other)->info().size, 2 * kMiB);
}

TEST_F(VolumeTest, ExtentsTellZerosThatAreKeptFromHoles) {
  ASSERT_TRUE(Create("v", 4 * kMiB).ok());
  EXPECT_TRUE(Write("v", 0, std::string(kMiB, 'd')).ok());
  auto device = env_.Run(node_.atoll().Open(ResourceRef::Named("v"), OpenMode::kReadWrite));
  ASSERT_TRUE(device.ok());
  ASSERT_TRUE(env_.Run((*device)->WriteZeroes({kMiB, 2 * kMiB}, {.no_hole = true})).ok());
  ASSERT_TRUE(env_.Run((*device)->Discard({2 * kMiB, 512 * kKiB}, {})).ok());
  const auto extents = env_.Run((*device)->Extents({0, 4 * kMiB}, 100));
  ASSERT_TRUE(extents.ok());
  std::string seen;
  for (const DeviceExtent& extent : *extents) {
    const char* kind = !extent.zero ? "data" : extent.hole ? "hole" : "zero";
    seen += std::to_string(extent.range.length / kKiB) + " " + kind + ", ";
  }
  EXPECT_EQ(seen, "1024 data, 1024 zero, 512 hole, 512 zero, 1024 hole, ");
}

TEST_F(VolumeTest, NamesAreTakenFreedAndChanged) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_EQ(Create("v", kMiB).code(), Code::kExists);
  EXPECT_TRUE(env_.Run(node_.atoll().Rename(ResourceRef::Named("v"), "w")).ok());
  EXPECT_EQ(env_.Run(node_.atoll().Show(ResourceRef::Named("v"), false)).code(), Code::kNotFound);
  EXPECT_TRUE(Create("v", kMiB).ok());
  EXPECT_EQ(env_.Run(node_.atoll().Rename(ResourceRef::Named("v"), "w")).code(), Code::kExists);
  EXPECT_TRUE(env_.Run(node_.atoll().Remove(ResourceRef::Named("w"))).ok());
  EXPECT_TRUE(env_.Run(node_.atoll().Rename(ResourceRef::Named("v"), "w")).ok());
  const auto list = env_.Run(node_.atoll().List({}));
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->items.size(), 1u);
  EXPECT_EQ(list->items[0].name, "w");
}

TEST_F(VolumeTest, ARepeatedCreateFindsItsOwnWork) {
  CreateSpec spec;
  spec.uuid = env_.NewUuid();
  spec.name = "v";
  spec.size = kMiB;
  EXPECT_TRUE(env_.Run(node_.atoll().Create(spec)).ok());
  EXPECT_TRUE(Write("v", 0, "x").ok());
  EXPECT_TRUE(env_.Run(node_.atoll().Create(spec)).ok());
  EXPECT_EQ(Read("v", 0, 1), "x");
}

TEST_F(VolumeTest, GarbageIsWhatNothingNames) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 0, "data").ok());
  ASSERT_TRUE(Snap("v", "s").ok());
  EXPECT_TRUE(env_.Run(node_.atoll().Remove(ResourceRef::Named("v"))).ok());
  ASSERT_TRUE(env_.Run(node_.atoll().CollectGarbage(false)).ok());
  EXPECT_EQ(Read("s", 0, 4), "data");
  EXPECT_TRUE(env_.Run(node_.atoll().Remove(ResourceRef::Named("s"))).ok());
  ASSERT_TRUE(env_.Run(node_.atoll().CollectGarbage(false)).ok());
  const auto again = env_.Run(node_.atoll().CollectGarbage(true));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->blobs + again->logs + again->records, 0u) << again->items.size();
}

TEST_F(VolumeTest, ManyCheckpointsKeepEverything) {
  ASSERT_TRUE(Create("v", kTiB).ok());
  for (int i = 0; i < 40; ++i) {
    const uint64_t offset = static_cast<uint64_t>(i) * 7 * kGiB + static_cast<uint64_t>(i) * 4096;
    ASSERT_TRUE(Write("v", offset, "mark" + std::to_string(i)).ok());
    const auto snapshot = Snap("v", "s" + std::to_string(i));
    ASSERT_TRUE(snapshot.ok()) << i << ": " << snapshot.status().ToString();
  }
  for (int i = 0; i < 40; ++i) {
    const uint64_t offset = static_cast<uint64_t>(i) * 7 * kGiB + static_cast<uint64_t>(i) * 4096;
    EXPECT_EQ(Read("v", offset, 4), "mark");
    EXPECT_EQ(Read("s" + std::to_string(i), offset, 4), "mark");
    if (i > 0) EXPECT_EQ(Read("s" + std::to_string(i - 1), offset, 4), std::string(4, '\0'));
  }
}

TEST_F(VolumeTest, ASecondNodeThatWantsToWriteIsTold) {
  ASSERT_TRUE(Create("v", kMiB).ok());
  EXPECT_TRUE(Write("v", 0, "x").ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(ResourceRef::Named("v"))).ok());
  MemoryNode other(&env_, &world_, {.name = "b"});
  const auto status = env_.Run(other.atoll().Acquire(ResourceRef::Named("v")));
  EXPECT_EQ(status.code(), Code::kBusy);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("node a"));
  EXPECT_TRUE(env_.Run(node_.atoll().Release(ResourceRef::Named("v"))).ok());
  EXPECT_TRUE(env_.Run(other.atoll().Acquire(ResourceRef::Named("v"))).ok());
  EXPECT_TRUE(other.Stop().ok());
}

}  // namespace
}  // namespace atl
