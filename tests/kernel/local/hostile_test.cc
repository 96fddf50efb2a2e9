// SPDX-License-Identifier: Apache-2.0
//
// Clients that send garbage, lie in their slots, or die. Each time an honest one goes on, and of
// the other nothing is left: the device under it checks that it is closed with nothing in flight.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <iostream>
#include <random>
#include <vector>

#include "tests/kernel/local/local_world.h"

namespace atl::local {
namespace {

uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("ATOLL_SEED");
    const uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "ATOLL_SEED=" << chosen << "\n";
    return chosen;
  }();
  return seed;
}

blkcnt_t BlocksOf(const Fd& file) {
  struct stat info;
  CHECK(fstat(file.get(), &info) == 0);
  return info.st_blocks;
}
bool IsGivenBack(const Fd& file) {
  for (int i = 0; i < 10'000 && BlocksOf(file) > 0; ++i) usleep(1000);
  return BlocksOf(file) == 0;
}

Fd RawConnect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

void Say(const Fd& socket, ConstSpan bytes) {
  [[maybe_unused]] const auto sent = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

// All that the server says until it hangs up.
std::string Hear(const Fd& socket) {
  std::string out(4096, '\0');
  size_t total = 0;
  ssize_t got;
  while ((got = recv(socket.get(), out.data() + total, out.size() - total, 0)) > 0) {
    total += static_cast<size_t>(got);
  }
  out.resize(total);
  return out;
}

class HostileLocalTest : public testing::Test {
 protected:
  // The honest one gets on, and is then alone.
  void ExpectUndisturbed() {
    EXPECT_TRUE(ReadsAs(*honest_, {8192, 4096}, 0x11));
    EXPECT_TRUE(world_.HasClients(1));
    EXPECT_EQ(world_.open_devices(), 1u);
  }
  // A slot as an honest client would submit it, but for `change`.
  void ExpectCutOff(const std::function<void(ClientPort&, SlotRecord&)>& change) {
    auto client = world_.Connect();
    ClientPort& port = client->port();
    SlotRecord& slot = port.segment().slots()[0];
    slot.op.Store(kOpFlush);
    slot.StoreWord({SlotState::kSubmitted, kServerHolder, 1});
    change(port, slot);
    ClientRings& rings = port.segment().rings();
    rings.requests.Post(0);
    rings.server.RaiseArrival(0);
    RingIfAsleep(rings.server, {port.doorbell_fd(), Bell::Kind::kSocket});
    for (int i = 0; i < 10'000 && !port.server_gone(); ++i) usleep(1000);
    EXPECT_TRUE(port.server_gone());
    ExpectUndisturbed();
  }

  LocalWorld world_{{.max_clients = 8, .greeting_timeout_ns = 300 * kMillisecond}};
  std::unique_ptr<LocalClient> honest_ = [this] {
    auto client = world_.Connect();
    CHECK(Write(*client, {8192, 4096}, 0x11).ok());
    return client;
  }();
};

// --- Greetings.

TEST_F(HostileLocalTest, AWrongGreetingIsToldWhatIsWrong) {
  Bytes greeting = MakeGreeting({"disk"});
  greeting[8] = std::byte{9};
  const Fd socket = RawConnect(world_.socket());
  Say(socket, greeting);
  const std::string said = Hear(socket);
  EXPECT_EQ(said.size(), sizeof(Answer) + 38);
  EXPECT_NE(said.find("version 9 is not spoken here, but 1 is"), std::string::npos);
  ExpectUndisturbed();
}

TEST_F(HostileLocalTest, GarbageInsteadOfAGreetingHarmsNobody) {
  std::mt19937_64 random(Seed());
  for (int i = 0; i < 300; ++i) {
    Bytes bytes = MakeGreeting({"disk", Mode::kReadOnly});
    if (random() % 4 == 0) {
      bytes.resize(random() % 300);
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    } else {
      for (uint64_t n = 1 + random() % 3; n > 0; --n) {
        bytes[random() % bytes.size()] = static_cast<std::byte>(random());
      }
      if (random() % 3 == 0) bytes.resize(random() % bytes.size());
    }
    const Fd socket = RawConnect(world_.socket());
    Say(socket, bytes);
    if (random() % 2 == 0) shutdown(socket.get(), SHUT_WR);
    if (random() % 4 == 0) continue;  // It does not even listen.
    shutdown(socket.get(), SHUT_WR);
    EXPECT_LE(Hear(socket).size(), sizeof(Answer) + kMaxAnswerText);
  }
  ExpectUndisturbed();
}

TEST_F(HostileLocalTest, WhoTakesTooLongIsCutOff) {
  const Bytes greeting = MakeGreeting({"disk"});
  for (const size_t much : {size_t{0}, size_t{5}, greeting.size() - 1}) {
    const Fd socket = RawConnect(world_.socket());
    Say(socket, ConstSpan(greeting).first(much));
    EXPECT_LE(Hear(socket).size(), sizeof(Answer) + kMaxAnswerText);
  }
  ExpectUndisturbed();
}

TEST_F(HostileLocalTest, WhoOnlyConnectsKeepsNobodyOut) {
  std::vector<Fd> sockets;
  for (int i = 0; i < 40; ++i) sockets.push_back(RawConnect(world_.socket()));
  EXPECT_TRUE(ReadsAs(*world_.Connect(), {8192, 4096}, 0x11));
  EXPECT_TRUE(world_.HasClients(1));
}

TEST_F(HostileLocalTest, WhoKeepsItsMemoryKeepsNothingOfTheNodes) {
  auto client = world_.Connect();
  const Fd kept(dup(client->port().segment().memory_fd()));
  ASSERT_TRUE(ReadsAs(*client, {8192, 4096}, 0x11));
  EXPECT_GT(BlocksOf(kept), 0);
  client.reset();
  EXPECT_TRUE(IsGivenBack(kept));
}

TEST_F(HostileLocalTest, WhoDoesNotTakeItsSegmentIsForgotten) {
  for (int i = 0; i < 20; ++i) {
    const Fd socket = RawConnect(world_.socket());
    Say(socket, MakeGreeting({"disk"}));
    std::byte answer[sizeof(Answer)];
    if (i % 2 == 0) EXPECT_EQ(recv(socket.get(), answer, sizeof(answer), MSG_WAITALL), 64);
  }
  ExpectUndisturbed();
}

// --- Lies.

TEST_F(HostileLocalTest, WhoAsksForWhatThereIsNotIsCutOff) {
  ExpectCutOff([](ClientPort&, SlotRecord& slot) { slot.op.Store(kLastOp + 1); });
}

TEST_F(HostileLocalTest, WhoNamesBytesThatAreNotItsOwnIsCutOff) {
  ExpectCutOff([](ClientPort& port, SlotRecord& slot) {
    slot.buffer_offset.Store(port.segment().area().size() - 1);
    slot.buffer_length.Store(4096);
  });
}

TEST_F(HostileLocalTest, WhoSubmitsWhatIsInServiceIsCutOffWhenThatIsOver) {
  world_.Delay(50 * kMillisecond);
  ExpectCutOff([](ClientPort& port, SlotRecord&) {
    ClientRings& rings = port.segment().rings();
    rings.requests.Post(0);
    rings.server.RaiseArrival(0);
    RingIfAsleep(rings.server, {port.doorbell_fd(), Bell::Kind::kSocket});
    usleep(20'000);
  });
}

// Slots, rings and payload change all the time, also under requests in service.
TEST_F(HostileLocalTest, WhoScribblesOverEverythingHarmsItselfOnly) {
  std::mt19937_64 random(Seed());
  for (int round = 0; round < 20; ++round) {
    world_.Delay(round % 2 == 0 ? 0 : kMillisecond);
    auto client = world_.Connect();
    ClientSegment& segment = client->port().segment();
    auto* words = reinterpret_cast<std::atomic<uint64_t>*>(&segment.rings());
    const size_t count = (kPageBytes + segment.slots().size_bytes()) / sizeof(uint64_t);
    for (int i = 0; i < 64; ++i) {
      // Away from the bytes that the honest one looks at.
      auto request =
          client->Prepare(i % 2 == 0 ? kOpWrite : kOpRead, {kMiB + random() % kMiB, kPageBytes});
      auto buffer = client->port().buffers().Allocate(kPageBytes);
      request->Carry(std::move(*buffer));
      client->port().Submit(std::move(*request));
    }
    for (int i = 0; i < 200'000 && !(i % 64 == 0 && client->port().server_gone()); ++i) {
      // Not an op that could reach the honest one's bytes by chance: those of a slot's first line.
      const size_t at = random() % count;
      const bool arguments = at >= kPageBytes / 8 && (at - kPageBytes / 8) % 32 >= 8;
      words[at].store(arguments           ? kMiB + random() % kMiB
                      : random() % 8 == 0 ? random()
                                          : random() % 256);
      RingIfAsleep(segment.rings().server, {client->port().doorbell_fd(), Bell::Kind::kSocket});
    }
  }
  world_.Delay(0);
  ExpectUndisturbed();
}

// --- Deaths.

// While the server still looks for more, and then sleeps; nobody wakes it by asking.
TEST_F(HostileLocalTest, WhoEndsRightBehindAnAnswerIsNoticed) {
  for (int i = 0; i < 200; ++i) {
    auto client = world_.Connect();
    const Fd kept(dup(client->port().segment().memory_fd()));
    ASSERT_TRUE(ReadsAs(*client, {8192, 4096}, 0x11));
    client.reset();
    ASSERT_TRUE(IsGivenBack(kept)) << i;
  }
}

TEST_F(HostileLocalTest, WhoDiesWhileItIsServedLeavesNothing) {
  world_.Delay(100 * kMillisecond);
  {
    auto client = world_.Connect();
    for (int i = 0; i < 64; ++i) {
      auto request = client->Prepare(kOpWrite, {kMiB + i * 4096ull, 4096});
      request->Carry(*client->port().buffers().Allocate(4096));
      client->port().Submit(std::move(*request));
    }
    while (world_.Row("disk").in_flight < 64) {
    }
  }
  EXPECT_EQ(world_.open_devices(), 2u) << "its requests are in service still";
  world_.Delay(0);
  ExpectUndisturbed();
}

TEST(HostileLocalProcess, WhoIsKilledWithinRequestsIsNoticed) {
  // Before there are threads.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(ends[1]);
    char path[200] = {};
    if (read(ends[0], path, sizeof(path) - 1) <= 0) _exit(1);
    auto client = LocalClient::Connect(path, {"disk"});
    if (!client.ok()) _exit(2);
    while (true) {
      if (auto answer = (*client)->port().Collect()) continue;
      auto request = (*client)->Prepare(kOpWrite, {0, 4096});
      if (!request) continue;
      auto buffer = (*client)->port().buffers().Allocate(4096);
      if (!buffer) continue;
      request->Carry(std::move(*buffer));
      (*client)->port().Submit(std::move(*request));
    }
  }
  LocalWorld world;
  world.Delay(kMillisecond);
  ASSERT_GT(write(ends[1], world.socket().data(), world.socket().size()), 0);
  for (int i = 0; i < 10'000 && world.Row("disk").writes < 1000; ++i) usleep(1000);
  EXPECT_GE(world.Row("disk").writes, 1000u);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(world.IsQuiet());
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace atl::local
