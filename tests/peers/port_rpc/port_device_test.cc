// SPDX-License-Identifier: Apache-2.0
//
// A front end's devices over a port: order, data in place, and devices of the dead.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "peers/port_ops.h"
#include "peers/volumes/remote/atoll_server.h"
#include "peers/volumes/remote/port_atoll.h"
#include "tests/peers/client/memory_atoll.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/test_env.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

class PortDeviceTest : public ::testing::Test {
 protected:
  PortDeviceTest() {
    ServeComposer();
    atoll_ = std::make_unique<PortAtoll>(front_end_.get(), *front_end_->client().Find("composer"));
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = "v";
    spec.size = 4 * kMiB;
    EXPECT_TRUE(env_.Run(atoll_->Create(spec)).ok());
  }
  ~PortDeviceTest() override { Drive(server_->Shutdown()); }

  void ServeComposer() {
    const uint32_t life = composer_->port().incarnation();
    server_ = std::make_unique<AtollServer>(&env_, &local_, AtollServer::Trace(), life);
    composer_->server().Add(VolumeOps{}, server_.get());
    composer_->server().Add(PortOps{}, server_.get());
    composer_->server().Serve();
  }
  // It dies wherever it is, and another one takes its place.
  void ReplaceComposer() {
    const PortIndex port = composer_->port().index();
    composer_->port().Vanish();
    Drive(server_->Shutdown());
    Drive(composer_->server().Join());
    composer_.reset();
    CHECK(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
    CHECK(Release(*segment_, port).ok());
    composer_ = OpenPeerOrDie(&env_, segment_.get(), "composer");
    ServeComposer();
  }
  static Task<Buffer> Filled(Device* device, char letter) {
    Buffer buffer = co_await device->buffers().Get(4096);
    std::ranges::fill(buffer.span(), static_cast<std::byte>(letter));
    co_return std::move(buffer);
  }
  std::string ReadText(Device* device, uint64_t offset, size_t length) {
    std::string text(length, '?');
    const MutSpan out(reinterpret_cast<std::byte*>(text.data()), text.size());
    const Status status = env_.Run(device->Read(offset, out));
    return status.ok() ? text : status.ToString();
  }
  Task<bool> Wait(int64_t duration_ns) {
    co_await env_.Sleep(duration_ns);
    co_return true;
  }
  static Task<void> RemoveAndTell(PeerPort* front_end, std::optional<Status>* removed) {
    const RpcTarget composer = *front_end->client().Find("composer");
    const RemoveOp op{ResourceRef::Named("v")};
    *removed = co_await front_end->client().Tell(composer, op);
  }
  static Task<void> FlushAndTell(Device* device, bool* done) {
    *done = (co_await device->Flush()).ok();
  }

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

  uint64_t first_handle() const { return FirstHandle(composer_->port().incarnation()); }

  TestEnv env_;
  MemoryAtoll local_{env_};
  std::unique_ptr<Segment> segment_ = MakeSegment(kPeersGeometry);
  std::unique_ptr<PeerPort> composer_ = OpenPeerOrDie(&env_, segment_.get(), "composer");
  std::unique_ptr<PeerPort> front_end_ = OpenPeerOrDie(&env_, segment_.get(), "nbd");
  std::unique_ptr<AtollServer> server_;
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
  EXPECT_EQ(server_->open_devices(), 0u);
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
  const PortFlushOp far{first_handle(), kMaxSlotsPerPort};
  EXPECT_EQ(env_.Run(front_end_->client().Tell(*front_end_->client().Find("composer"), far)).code(),
            Code::kInvalid);
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  const PortFlushOp old{first_handle(), 0};
  EXPECT_EQ(env_.Run(front_end_->client().Tell(*front_end_->client().Find("composer"), old)).code(),
            Code::kInvalid);
  Drive(device->Close());
}

TEST_F(PortDeviceTest, AHandleBelongsToWhoOpenedIt) {
  auto device = Open();
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  const PortFlushOp op{first_handle(), 0};
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
  EXPECT_EQ(server_->open_devices(), 0u);
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kNotFound);
}

// --- When the composer dies ----------------------------------------------------------------------

TEST_F(PortDeviceTest, WhatWasNotAnsweredIsMadeAgainInItsOrderAtTheNextComposer) {
  auto device = Open();
  for (int round = 0; round < 3; ++round) {
    std::vector<Status> status(20, Status(Code::kInternal, "not answered"));
    TaskGroup group;
    for (size_t i = 0; i < status.size(); ++i) {
      Buffer buffer = env_.Run(Filled(device.get(), static_cast<char>('a' + i)));
      group.Run(Write(device.get(), i * 512, std::move(buffer), &status[i]));
    }
    for (uint64_t steps = env_.Random() % 8; steps > 0; --steps) env_.Step();
    ReplaceComposer();
    Drive(group.Join());
    for (const Status& one : status) EXPECT_TRUE(one.ok()) << one.ToString();
    // Each overwrites all but the first sector of the one before it.
    EXPECT_EQ(ReadText(device.get(), 0, 1), "a");
    EXPECT_EQ(ReadText(device.get(), 19 * 512, 1), "t");
    EXPECT_EQ(ReadText(device.get(), 19 * 512 + 4095, 1), "t");
    EXPECT_EQ(ReadText(device.get(), 10 * 512, 1), "k");
  }
  Drive(device->Close());
}

TEST_F(PortDeviceTest, ADeviceThatNobodyUsedMeanwhileIsOpenedAnewAtItsNextRequest) {
  auto device = Open();
  ReplaceComposer();
  ReplaceComposer();
  EXPECT_EQ(server_->open_devices(), 0u);
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  EXPECT_EQ(server_->open_devices(), 1u);
  Drive(device->Close());
  EXPECT_EQ(server_->open_devices(), 0u);
}

TEST_F(PortDeviceTest, WhatCannotBeOpenedAnewFailsAndIsTriedAgain) {
  auto device = Open();
  const Uuid uuid = device->info().uuid;
  ReplaceComposer();
  ASSERT_TRUE(env_.Run(local_.Remove(ResourceRef::Named("v"))).ok());
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kNotFound);
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kNotFound);
  CreateSpec spec;
  spec.uuid = uuid;
  spec.name = "v";
  spec.size = 4 * kMiB;
  ASSERT_TRUE(env_.Run(local_.Create(spec)).ok());
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  Drive(device->Close());
}

TEST_F(PortDeviceTest, NothingBeginsBeforeAllFrontEndsHaveMadeTheirChangesAgain) {
  auto device = Open();
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  const RpcTarget composer = *other->client().Find("composer");
  const uint64_t old = first_handle() + 100;
  ReplaceComposer();
  // A change that the other front end had asked the dead one for.
  PortWriteOp op;
  op.handle = old;
  EXPECT_EQ(env_.Run(other->client().Tell(composer, op, Bytes(512))).code(), Code::kStale);
  bool done = false;
  Spawn(FlushAndTell(device.get(), &done));
  env_.Run(Wait(kSecond));
  EXPECT_FALSE(done);
  const PortRejoinedOp wrong{composer_->port().incarnation() - 1};
  EXPECT_EQ(env_.Run(other->client().Tell(composer, wrong)).code(), Code::kStale);
  const PortRejoinedOp rejoined{composer_->port().incarnation()};
  EXPECT_TRUE(env_.Run(other->client().Tell(composer, rejoined)).ok());
  env_.Run(Wait(kMillisecond));
  EXPECT_TRUE(done);
  Drive(device->Close());
}

TEST_F(PortDeviceTest, AnIdleFrontEndThatIsToldOpensItsDevicesAnew) {
  auto device = Open();
  ReplaceComposer();
  EXPECT_EQ(server_->open_devices(), 0u);
  atoll_->Rejoin();
  env_.Run(Wait(kMillisecond));
  EXPECT_EQ(server_->open_devices(), 1u);
  Drive(device->Close());
}

TEST_F(PortDeviceTest, WhatNeedsAnUnusedVolumeWaitsForAllFrontEndsAndIsRefusedWithoutThem) {
  auto device = Open();
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  const RpcTarget composer = *other->client().Find("composer");
  ReplaceComposer();
  server_->Inherit({}, {front_end_->port().index(), other->port().index()});
  std::optional<Status> removed;
  Spawn(RemoveAndTell(other.get(), &removed));
  env_.Run(Wait(kSecond));
  EXPECT_FALSE(removed.has_value());
  atoll_->Rejoin();
  env_.Run(Wait(kSecond));
  EXPECT_FALSE(removed.has_value()) << "the other front end has not come back yet";
  env_.Run(Wait(AtollServer::kMostAwaited));
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->code(), Code::kBusy) << removed->ToString();
  const PortRejoinedOp rejoined{composer_->port().incarnation()};
  EXPECT_TRUE(env_.Run(other->client().Tell(composer, rejoined)).ok());
  Drive(device->Close());
  removed.reset();
  Spawn(RemoveAndTell(other.get(), &removed));
  env_.Run(Wait(kSecond));
  ASSERT_TRUE(removed.has_value());
  EXPECT_TRUE(removed->ok()) << removed->ToString();
}

TEST_F(PortDeviceTest, AFrontEndThatNeverComesBackIsNotWaitedForWithoutEnd) {
  auto device = Open();
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  const RpcTarget composer = *other->client().Find("composer");
  const uint64_t old = first_handle() + 100;
  ReplaceComposer();
  PortDiscardOp op;
  op.handle = old;
  EXPECT_EQ(env_.Run(other->client().Tell(composer, op)).code(), Code::kStale);
  bool done = false;
  Spawn(FlushAndTell(device.get(), &done));
  env_.Run(Wait(AtollServer::kMostAwaited - kSecond));
  EXPECT_FALSE(done);
  env_.Run(Wait(2 * kSecond));
  EXPECT_TRUE(done);
  // One that has died is not waited for at all.
  const uint64_t older = first_handle() + 100;
  ReplaceComposer();
  op.handle = older;
  EXPECT_EQ(env_.Run(other->client().Tell(composer, op)).code(), Code::kStale);
  auto supervisor = OpenPeerOrDie(&env_, segment_.get(), "atolld");
  const PeerGoneOp gone{other->port().index()};
  EXPECT_TRUE(env_.Run(supervisor->client().Tell(composer, gone)).ok());
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  Drive(device->Close());
}

TEST_F(PortDeviceTest, WhatADeadFrontEndWasOpeningIsClosedAgain) {
  auto other = OpenPeerOrDie(&env_, segment_.get(), "other");
  local_.set_open_delay_ns(kSecond);
  std::optional<Status> opened;
  const auto open = [](PeerPort* port, std::optional<Status>* out) -> Task<void> {
    const RpcTarget composer = *port->client().Find("composer");
    PortOpenOp op{ResourceRef::Named("v"), OpenMode::kReadWrite};
    *out = (co_await port->client().Call(composer, op)).status();
  };
  Spawn(open(other.get(), &opened));
  env_.Run(Wait(kSecond / 2));
  auto supervisor = OpenPeerOrDie(&env_, segment_.get(), "atolld");
  const RpcTarget composer = *supervisor->client().Find("composer");
  EXPECT_TRUE(
      env_.Run(supervisor->client().Tell(composer, PeerGoneOp{other->port().index()})).ok());
  env_.Run(Wait(kSecond));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->code(), Code::kUnavailable);
  EXPECT_EQ(local_.open_devices(), 0);
  EXPECT_EQ(server_->open_devices(), 0u);
}

}  // namespace
}  // namespace atl
