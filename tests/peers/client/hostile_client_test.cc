// SPDX-License-Identifier: Apache-2.0
//
// Clients of the node's socket that break every rule, beside one that does not and notices nothing.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <random>

#include "tests/peers/client/control_world.h"

namespace atl {
namespace {

class HostileClient : public testing::Test {
 protected:
  void SetUp() override {
    world_.host.message_time_ns = 100 * kMillisecond;
    world_.Listen();
    good_ = world_.Connect();
    world_.MakeVolume(*good_, "v", kMiB);
  }
  void TearDown() override {
    EXPECT_TRUE(world_.Run(good_->Show(ResourceRef::Named("v"), false)).ok())
        << "the well-behaved client has noticed";
    world_.Run(good_->Disconnect());
    world_.Run(world_.server->Stop());
    EXPECT_EQ(world_.atoll.open_devices(), 0);
  }
  Fd Intruder() {
    auto socket = ConnectUnix(world_.socket());
    CHECK(socket.ok());
    EXPECT_TRUE(world_.RunUntil([&] { return world_.server->connections() == 2; }));
    return *std::move(socket);
  }
  void Say(const Fd& socket, ConstSpan bytes) {
    ASSERT_EQ(send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  bool IsCutOff() {
    return world_.RunUntil([&] { return world_.server->connections() == 1; });
  }
  // The outcome in the farewell that waits in the socket.
  Status Farewell(const Fd& socket) {
    std::array<std::byte, 512> bytes;
    const ssize_t got = recv(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < static_cast<ssize_t>(kFrameHeaderBytes)) return {Code::kInternal, "no farewell"};
    ConstSpan body = ConstSpan(bytes).subspan(kFrameHeaderBytes, got - kFrameHeaderBytes);
    return TakeOutcome(&body);
  }
  template <typename O>
  Bytes Request(uint64_t id, const O& op, uint32_t payload = 0) {
    FrameHeader header;
    header.id = id;
    header.op = O::Wire::kOp;
    header.payload_bytes = payload;
    return MakeFrame(header, EncodeMessage(op));
  }

  ControlWorld world_;
  std::unique_ptr<RemoteAtoll> good_;
};

TEST_F(HostileClient, NonsenseIsAnsweredWithAReasonAndTheEnd) {
  const Fd socket = Intruder();
  Say(socket, AsBytes("GET / HTTP/1.1\r\nHost: atoll\r\n\r\n"));
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(Farewell(socket).code(), Code::kInvalid);
}

TEST_F(HostileClient, RandomBytesHurtNobody) {
  std::mt19937_64 random(4711);
  for (int round = 0; round < 50; ++round) {
    const Fd socket = Intruder();
    Bytes noise(100 + random() % 1000);
    for (auto& byte : noise) byte = std::byte(random() & 0xff);
    Say(socket, noise);
    EXPECT_TRUE(IsCutOff());
  }
}

TEST_F(HostileClient, AnUnknownOperationIsRefused) {
  const Fd socket = Intruder();
  FrameHeader header;
  header.id = 1;
  header.op = static_cast<Op>(9999);
  Say(socket, MakeFrame(header, {}));
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(Farewell(socket).code(), Code::kUnsupported);
}

TEST_F(HostileClient, AMalformedBodyIsRefused) {
  const Fd socket = Intruder();
  FrameHeader header;
  header.id = 1;
  header.op = Op::kShow;
  Say(socket, MakeFrame(header, Bytes(5, std::byte{0xff})));
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(Farewell(socket).code(), Code::kInvalid);
}

TEST_F(HostileClient, AHugeMessageIsRefusedBeforeItIsReceived) {
  const Fd socket = Intruder();
  FrameHeader header;
  header.id = 1;
  header.op = Op::kWrite;
  header.payload_bytes = UINT32_MAX;
  Say(socket, MakeFrame(header, {}));
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(Farewell(socket).code(), Code::kLimit);
}

TEST_F(HostileClient, APayloadWhereNoneBelongsIsRefused) {
  const Fd socket = Intruder();
  Say(socket, Request(1, StoresOp{}, 16));
  EXPECT_TRUE(IsCutOff());
}

TEST_F(HostileClient, WhoTricklesIsCutOff) {
  const Fd socket = Intruder();
  Say(socket, ConstSpan(Request(1, StoresOp{})).first(1));
  EXPECT_TRUE(IsCutOff());
}

TEST_F(HostileClient, WhoStopsInTheMiddleOfAPayloadIsCutOffAndItsDeviceIsClosed) {
  const Fd socket = Intruder();
  Say(socket, Request(1, OpenOp{ResourceRef::Named("v"), OpenMode::kReadWrite}));
  EXPECT_TRUE(world_.RunUntil([&] { return world_.atoll.open_devices() == 1; }));
  Say(socket, Request(2, WriteOp{1, 0, {}}, 65536));
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(world_.atoll.open_devices(), 0);
  EXPECT_TRUE(world_.atoll.Peek("v")->pages.empty()) << "half a write has been written";
}

TEST_F(HostileClient, AnIdleConnectionIsLeftAlone) {
  const Fd socket = Intruder();
  EXPECT_FALSE(world_.RunUntil([&, end = world_.executor.BootNs() + 500 * kMillisecond] {
    return world_.server->connections() == 1 || world_.executor.BootNs() > end;
  }) && world_.server->connections() == 1);
}

TEST_F(HostileClient, WhoTakesNoAnswersIsCutOff) {
  Fd socket = Intruder();
  Say(socket, Request(1, OpenOp{ResourceRef::Named("v"), OpenMode::kReadWrite}));
  EXPECT_TRUE(world_.RunUntil([&] { return world_.atoll.open_devices() == 1; }));
  for (uint64_t id = 2; id < 12; ++id) Say(socket, Request(id, ReadOp{1, 0, 1 << 20}));
  EXPECT_TRUE(IsCutOff());
}

TEST_F(HostileClient, VanishingInTheMiddleClosesWhatWasOpen) {
  world_.atoll.set_write_delay_ns(20 * kMillisecond);
  {
    const Fd socket = Intruder();
    Say(socket, Request(1, OpenOp{ResourceRef::Named("v"), OpenMode::kReadWrite}));
    EXPECT_TRUE(world_.RunUntil([&] { return world_.atoll.open_devices() == 1; }));
    Bytes write = Request(2, WriteOp{1, 0, {}}, 512);
    write.resize(write.size() + 512);
    Say(socket, write);
  }
  EXPECT_TRUE(IsCutOff());
  EXPECT_EQ(world_.atoll.open_devices(), 0);
}

TEST_F(HostileClient, HandlesOfOthersAndOpenLimitsAreRefusedWithoutTheEnd) {
  auto device = world_.Run(good_->Open(ResourceRef::Named("v"), OpenMode::kReadWrite));
  ASSERT_TRUE(device.ok());
  auto second = world_.Connect();
  auto third = world_.Run(second->Open(ResourceRef::Named("v"), OpenMode::kReadOnly));
  ASSERT_TRUE(third.ok());
  world_.Run((*third)->Close());
  EXPECT_EQ(world_.Run((*third)->Write(0, Bytes(512), {})).code(), Code::kNotFound);
  std::vector<std::unique_ptr<Device>> many;
  Status status;
  while (status.ok()) {
    auto next = world_.Run(second->Open(ResourceRef::Named("v"), OpenMode::kReadOnly));
    status = next.ok() ? Status() : next.status();
    if (next.ok()) many.push_back(*std::move(next));
  }
  EXPECT_EQ(status.code(), Code::kLimit);
  EXPECT_EQ(many.size(), kMaxDevices);
  world_.Run(second->Disconnect());
  world_.Run((*device)->Close());
}

TEST_F(HostileClient, TooManyConnectionsAreToldSo) {
  std::vector<Fd> crowd;
  for (size_t i = 1; i < kMaxConnections; ++i) {
    auto socket = ConnectUnix(world_.socket());
    ASSERT_TRUE(socket.ok());
    crowd.push_back(*std::move(socket));
    if (i % 32 == 0) world_.RunUntil([&] { return world_.server->connections() == i + 1; });
  }
  EXPECT_TRUE(world_.RunUntil([&] { return world_.server->connections() == kMaxConnections; }));
  auto late = world_.Connect();
  EXPECT_EQ(world_.Run(late->Stores()).code(), Code::kLimit);
  world_.Run(late->Disconnect());
  crowd.clear();
  EXPECT_TRUE(IsCutOff());
}

TEST_F(HostileClient, AnotherUserIsNotLetIn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can try as another user";
  struct stat info;
  ASSERT_EQ(stat(world_.socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  // Even where the file mode lets it through, the credentials do not.
  ASSERT_EQ(chmod(world_.socket().c_str(), 0666), 0);
  ASSERT_EQ(chmod(world_.folder.path().c_str(), 0755), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setresuid(65534, 65534, 65534) != 0) _exit(3);
    const auto socket = ConnectUnix(world_.socket());
    if (!socket.ok()) _exit(2);
    std::array<std::byte, 512> bytes;
    const ssize_t got = recv(socket->get(), bytes.data(), bytes.size(), 0);
    ConstSpan body = ConstSpan(bytes).subspan(kFrameHeaderBytes, got - kFrameHeaderBytes);
    _exit(TakeOutcome(&body).code() == Code::kPermission ? 0 : 1);
  }
  int outcome = -1;
  EXPECT_TRUE(world_.RunUntil([&] { return waitpid(child, &outcome, WNOHANG) == child; }));
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace atl
