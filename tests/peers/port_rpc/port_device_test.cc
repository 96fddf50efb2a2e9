// SPDX-License-Identifier: Apache-2.0
//
// A front end's devices over a port: order, data in place, and devices of the dead.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "peers/port_ops.h"
#include "peers/volumes/remote/atoll_server.h"
#include "peers/volumes/remote/port_atoll.h"
#include "tests/peers/client/memory_atoll.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class PortDeviceTest : public ::testing::Test {
 protected:
  PortDeviceTest() {
    composer_->server().Add(VolumeOps{}, &server_);
    composer_->server().Add(PortOps{}, &server_);
    composer_->server().Serve();
    atoll_ = std::make_unique<PortAtoll>(front_end_.get(), *front_end_->client().Find("composer"));
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = "v";
    spec.size = 4 * kMiB;
    EXPECT_TRUE(env_.Run(atoll_->Create(spec)).ok());
  }
  ~PortDeviceTest() override { Drive(server_.Shutdown()); }

  void Drive(Task<void> task) {
    const auto mark = [](Task<void> task) -> Task<int> {
      co_await task;
      co_return 0;
    };
    env_.Run(mark(std::move(task)));
  }
  std::unique_ptr<Device> Open() {
    auto device = env_.Run(atoll_->Open(ResourceRef::Named("v"), OpenMode::kReadWrite));
    CHECK(device.ok()) << device.status().ToString();
    return *std::move(device);
  }
  static Task<void> Write(Device* device, uint64_t offset, Buffer buffer, Status* status) {
    *status = co_await device->Write(offset, buffer.span(), {});
  }

  TestEnv env_;
  MemoryAtoll local_{env_};
  std::unique_ptr<Segment> segment_ = MakeSegment(kPeersGeometry);
  std::unique_ptr<PeerPort> composer_ = OpenPeerOrDie(&env_, segment_.get(), "composer");
  std::unique_ptr<PeerPort> front_end_ = OpenPeerOrDie(&env_, segment_.get(), "nbd");
  AtollServer server_{&env_, &local_, {}, composer_->port().incarnation()};
  std::unique_ptr<PortAtoll> atoll_;
};

TEST_F(PortDeviceTest, OverlappingWritesTakeEffectInTheOrderInWhichTheyWereMade) {
  auto device = Open();
  // Many more than there are slots: a bitmap of slots has an order of its own.
  constexpr int kWrites = 1000;
  std::vector<Status> statuses(kWrites);
  TaskGroup group;
  for (int i = 0; i < kWrites; ++i) {
    Buffer buffer = env_.Run(device->buffers().Get(512));
    std::ranges::fill(buffer.span(), static_cast<std::byte>(i));
    group.Run(Write(device.get(), static_cast<uint64_t>(i % 3) * 512, std::move(buffer),
                    &statuses[static_cast<size_t>(i)]));
  }
  env_.RunUntilIdle();
  for (const Status& status : statuses) EXPECT_TRUE(status.ok()) << status.ToString();
  Bytes back(3 * 512);
  ASSERT_TRUE(env_.Run(device->Read(0, back)).ok());
  for (int i = 0; i < 3; ++i) {
    int last = kWrites - 1;
    while (last % 3 != i) --last;
    EXPECT_EQ(back[static_cast<size_t>(i) * 512], static_cast<std::byte>(last)) << i;
  }
  Drive(device->Close());
  EXPECT_EQ(server_.open_devices(), 0u);
}

TEST_F(PortDeviceTest, TheOptionsOfAWriteTravel) {
  auto device = Open();
  const Bytes data(512, std::byte{7});
  for (const bool fua : {false, true}) {
    for (const bool detect : {false, true}) {
      const DeviceWriteOptions options{.fua = fua, .detect_zeroes = detect};
      ASSERT_TRUE(env_.Run(device->Write(0, data, options)).ok());
      const DeviceWriteOptions arrived = local_.Peek("v")->last_write;
      EXPECT_EQ(arrived.fua, fua);
      EXPECT_EQ(arrived.detect_zeroes, detect);
    }
  }
  Drive(device->Close());
}

TEST_F(PortDeviceTest, AFrontEndHearsOfANewSizeWhenItAsks) {
  auto device = Open();
  ASSERT_TRUE(env_.Run(atoll_->Resize(ResourceRef::Named("v"), 8 * kMiB, false)).ok());
  ASSERT_TRUE(env_.Run(device->Refresh()).ok());
  EXPECT_EQ(device->info().size, 8 * kMiB);
  auto later = Open();
  EXPECT_EQ(later->info().size, 8 * kMiB);
  Drive(later->Close());
  Drive(device->Close());
  EXPECT_EQ(env_.Run(device->Refresh()).code(), Code::kNotFound);
}

TEST_F(PortDeviceTest, ARequestOutOfAnyOrderIsRefused) {
  auto device = Open();
  const PortFlushOp far{1, kMaxSlotsPerPort};
  EXPECT_EQ(env_.Run(front_end_->client().Tell(*front_end_->client().Find("composer"), far)).code(),
            Code::kInvalid);
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  const PortFlushOp old{1, 0};
  EXPECT_EQ(env_.Run(front_end_->client().Tell(*front_end_->client().Find("composer"), old)).code(),
            Code::kInvalid);
  Drive(device->Close());
}

TEST_F(PortDeviceTest, AHandleBelongsToWhoOpenedIt) {
  auto device = Open();
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  const PortFlushOp op{1, 0};
  EXPECT_EQ(env_.Run(other->client().Tell(*other->client().Find("composer"), op)).code(),
            Code::kNotFound);
  Drive(device->Close());
}

TEST_F(PortDeviceTest, DevicesOfADeadFrontEndAreClosed) {
  auto device = Open();
  auto supervisor = OpenPeerOrDie(&env_, segment_.get(), "atolld");
  const PeerGoneOp gone{front_end_->port().index()};
  EXPECT_TRUE(
      env_.Run(supervisor->client().Tell(*supervisor->client().Find("composer"), gone)).ok());
  EXPECT_EQ(server_.open_devices(), 0u);
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kNotFound);
}

}  // namespace
}  // namespace atl
