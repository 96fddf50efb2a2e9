// SPDX-License-Identifier: Apache-2.0
#include "peers/client/remote_atoll.h"

#include <gtest/gtest.h>

#include "tests/peers/client/control_world.h"

namespace atl {
namespace {

class RemoteAtollTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.Listen();
    remote_ = world_.Connect();
  }
  void TearDown() override {
    world_.Run(remote_->Disconnect());
    world_.Run(world_.server->Stop());
    EXPECT_EQ(world_.atoll.open_devices(), 0);
  }
  std::unique_ptr<Device> Open(const std::string& name, OpenMode mode = OpenMode::kReadWrite) {
    auto device = world_.Run(remote_->Open(ResourceRef::Named(name), mode));
    CHECK(device.ok()) << device.status().ToString();
    return *std::move(device);
  }

  ControlWorld world_;
  std::unique_ptr<RemoteAtoll> remote_;
};

TEST_F(RemoteAtollTest, VolumesAndSnapshotsTravel) {
  const Uuid uuid = world_.MakeVolume(*remote_, "db1", kTiB);
  SnapshotSpec spec{world_.executor.NewUuid(), ResourceRef::Named("db1"), "db1@1"};
  ASSERT_TRUE(world_.Run(remote_->Snapshot(spec)).ok());
  ListSpec snapshots;
  snapshots.kind = ResourceKind::kSnapshot;
  snapshots.parent = ResourceRef::Of(uuid);
  const auto page = world_.Run(remote_->List(snapshots));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].parent, uuid);
  const auto shown = world_.Run(remote_->Show(ResourceRef::Named("db1"), true));
  ASSERT_TRUE(shown.ok());
  EXPECT_TRUE(shown->space.has_value());
  EXPECT_EQ(shown->size, kTiB);
}

TEST_F(RemoteAtollTest, ErrorsKeepCodeAndMessage) {
  const auto shown = world_.Run(remote_->Show(ResourceRef::Named("nothing"), false));
  EXPECT_EQ(shown.code(), Code::kNotFound);
  EXPECT_NE(shown.status().message().find("nothing"), std::string_view::npos);
}

TEST_F(RemoteAtollTest, ACreateMayBeRepeated) {
  CreateSpec spec;
  spec.uuid = world_.executor.NewUuid();
  spec.name = "twice";
  spec.size = kMiB;
  EXPECT_TRUE(world_.Run(remote_->Create(spec)).ok());
  EXPECT_TRUE(world_.Run(remote_->Create(spec)).ok());
  spec.uuid = world_.executor.NewUuid();
  EXPECT_EQ(world_.Run(remote_->Create(spec)).code(), Code::kExists);
}

TEST_F(RemoteAtollTest, ALargeTransferIsCutIntoMessages) {
  world_.MakeVolume(*remote_, "big", 64 * kMiB);
  auto device = Open("big");
  Bytes data(10 * kMiB + 513);
  for (size_t i = 0; i < data.size(); ++i) data[i] = std::byte(i * 31 >> 3);
  ASSERT_TRUE(world_.Run(device->Write(1000, data, {.fua = true})).ok());
  Bytes back(data.size());
  ASSERT_TRUE(world_.Run(device->Read(1000, back)).ok());
  EXPECT_EQ(back, data);
  EXPECT_TRUE(world_.Run(device->Read(0, {})).ok());
  world_.Run(device->Close());
}

TEST_F(RemoteAtollTest, DeviceOperationsTravel) {
  world_.MakeVolume(*remote_, "v", kMiB);
  auto device = Open("v");
  const Bytes data(8192, std::byte{7});
  ASSERT_TRUE(world_.Run(device->Write(4096, data, {})).ok());
  ASSERT_TRUE(world_.Run(device->Discard({4096, 4096}, {})).ok());
  ASSERT_TRUE(world_.Run(device->Flush()).ok());
  ASSERT_TRUE(world_.Run(device->Prefetch({0, 4096})).ok());
  EXPECT_EQ(world_.atoll.Peek("v")->flushes, 1u);
  const auto extents = world_.Run(device->Extents({0, kMiB}, 10));
  ASSERT_TRUE(extents.ok());
  ASSERT_EQ(extents->size(), 3u);
  EXPECT_TRUE((*extents)[0].hole);
  EXPECT_FALSE((*extents)[1].hole);
  EXPECT_EQ((*extents)[1].range, (ByteRange{8192, 4096}));
  EXPECT_EQ(world_.Run(device->Write(kMiB, data, {})).code(), Code::kInvalid);
  world_.Run(device->Close());
  EXPECT_EQ(world_.Run(device->Flush()).code(), Code::kNotFound);
}

TEST_F(RemoteAtollTest, TheOptionsOfAWriteTravel) {
  world_.MakeVolume(*remote_, "v", kMiB);
  auto device = Open("v");
  const Bytes data(512, std::byte{7});
  for (const bool fua : {false, true}) {
    for (const bool detect : {false, true}) {
      const DeviceWriteOptions options{.fua = fua, .detect_zeroes = detect};
      ASSERT_TRUE(world_.Run(device->Write(0, data, options)).ok());
      const DeviceWriteOptions arrived = world_.atoll.Peek("v")->last_write;
      EXPECT_EQ(arrived.fua, fua);
      EXPECT_EQ(arrived.detect_zeroes, detect);
    }
  }
  world_.Run(device->Close());
}

TEST_F(RemoteAtollTest, ADeviceHearsOfANewSizeWhenItAsks) {
  world_.MakeVolume(*remote_, "v", kMiB);
  auto device = Open("v");
  ASSERT_TRUE(world_.Run(remote_->Resize(ResourceRef::Named("v"), 2 * kMiB, false)).ok());
  ASSERT_TRUE(world_.Run(device->Refresh()).ok());
  EXPECT_EQ(device->info().size, 2 * kMiB);
  world_.Run(device->Close());
  EXPECT_EQ(world_.Run(device->Refresh()).code(), Code::kNotFound);
}

TEST_F(RemoteAtollTest, ManyRequestsAreInFlightAtOnce) {
  world_.MakeVolume(*remote_, "v", 16 * kMiB);
  world_.atoll.set_write_delay_ns(20 * kMillisecond);
  auto device = Open("v");
  auto all = [](Device& device) -> Task<int> {
    const Bytes data(4096, std::byte{1});
    int good = 0;
    auto one = [](Device& device, const Bytes& data, int i, int* good) -> Task<void> {
      const Status status = co_await device.Write(i * 4096, data, {});
      *good += status.ok();
    };
    TaskGroup group;
    for (int i = 0; i < 200; ++i) group.Run(one(device, data, i, &good));
    co_await group.Join();
    co_return good;
  };
  EXPECT_EQ(world_.Run(all(*device)), 200);
  EXPECT_GT(world_.atoll.most_in_flight(), 16);
  EXPECT_LE(world_.atoll.most_in_flight(), static_cast<int>(kMaxInFlight));
  world_.Run(device->Close());
}

TEST_F(RemoteAtollTest, TheNodeCanBeAskedAndStopped) {
  const auto status = world_.Run(remote_->GetStatus());
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->pid, getpid());
  ASSERT_EQ(status->peers.size(), 1u);
  EXPECT_EQ(world_.Run(remote_->GetReport({"trace", "v", false}))->text, "trace of v");
  EXPECT_EQ(world_.Run(remote_->RestartPeer("x")).code(), Code::kNotFound);
  EXPECT_TRUE(world_.Run(remote_->Stop()).ok());
  EXPECT_EQ(world_.node.stops, 1);
}

TEST_F(RemoteAtollTest, ReadOnlyDevicesRefuseWrites) {
  world_.MakeVolume(*remote_, "v", kMiB);
  auto device = Open("v", OpenMode::kReadOnly);
  EXPECT_TRUE(device->info().read_only);
  EXPECT_EQ(world_.Run(device->Write(0, Bytes(512), {})).code(), Code::kReadOnly);
  world_.Run(device->Close());
}

TEST_F(RemoteAtollTest, WhatANodeThatStopsHasInFlightIsAnsweredFirst) {
  world_.MakeVolume(*remote_, "v", kMiB);
  world_.atoll.set_write_delay_ns(30 * kMillisecond);
  auto device = Open("v");
  auto both = [](ControlWorld& world, Device& device) -> Task<Status> {
    Status outcome(Code::kInternal, "unset");
    const Bytes data(512);
    auto write = [](Device& device, const Bytes& data, Status* outcome) -> Task<void> {
      *outcome = co_await device.Write(0, data, {});
    };
    TaskGroup group;
    group.Run(write(device, data, &outcome));
    while (world.atoll.in_flight() == 0) co_await world.executor.Sleep(kMillisecond);
    co_await world.server->Stop();
    co_await group.Join();
    co_return outcome;
  };
  EXPECT_TRUE(world_.Run(both(world_, *device)).ok());
  EXPECT_EQ(world_.Run(device->Flush()).code(), Code::kUnavailable);
  world_.Run(remote_->Disconnect());
  world_.Listen();
  remote_ = world_.Connect();
}

TEST(RemoteAtoll, SaysThatNobodyListens) {
  ControlWorld world;
  const auto remote = RemoteAtoll::Connect(world.executor, world.socket());
  EXPECT_EQ(remote.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace atl
