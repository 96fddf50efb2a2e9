// SPDX-License-Identifier: Apache-2.0
#include "xseg/client_segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "xseg/client_port.h"
#include "xseg/client_session.h"

namespace atl {
namespace {

constexpr uint16_t kMaxOp = 9;

// A server's session and the client that it was offered to.
struct Pair {
  std::unique_ptr<ClientSession> session;
  std::unique_ptr<ClientPort> client;
  Pair() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const Fd server_end(ends[0]);
    const Fd client_end(ends[1]);
    auto made = ClientSession::Create({.geometry = {.slots = 64, .blocks = {16, 4, 4}},
                                       .max_op = kMaxOp,
                                       .max_buffer_bytes = kMiB});
    CHECK(made.ok());
    session = std::move(*made);
    CHECK(session->Offer(server_end.get()).ok());
    auto received = ClientPort::Receive(client_end.get());
    CHECK(received.ok()) << received.status().ToString();
    client = std::move(*received);
  }
  // Answers every request with its op; the status of the poll.
  Status Serve() {
    bool any = false;
    return session->Poll(
        [&](ClientRequest request) {
          session->Respond(std::move(request), Code::kOk, request.op(), request.arguments());
        },
        &any);
  }
};

TEST(ClientSegment, ARequestTravelsThereAndBack) {
  Pair pair;
  EXPECT_EQ(pair.session->peer().pid, getpid());
  auto request = pair.client->Prepare(5);
  request->SetArguments(AsBytes("hello"));
  request->set_trace(77);
  auto buffer = pair.client->buffers().Allocate(5000);
  std::memset(buffer->bytes().data(), 0x11, 5000);
  request->Carry(std::move(*buffer));
  pair.client->Submit(std::move(*request));
  bool any = false;
  const auto serve = [&](ClientRequest request) {
    EXPECT_EQ(request.op(), 5);
    EXPECT_EQ(request.trace(), 77u);
    EXPECT_EQ(AsText(request.arguments()), "hello");
    ASSERT_EQ(request.buffer().size(), 5000u);
    EXPECT_EQ(request.buffer()[4999], std::byte{0x11});
    request.buffer()[0] = std::byte{0x22};
    pair.session->Respond(std::move(request), Code::kReadOnly, 9, AsBytes("bye"));
  };
  ASSERT_TRUE(pair.session->Poll(serve, &any).ok());
  EXPECT_TRUE(any);
  auto answer = pair.client->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), Code::kReadOnly);
  EXPECT_EQ(answer->result(), 9);
  EXPECT_EQ(AsText(answer->arguments()), "bye");
  EXPECT_EQ(answer->TakeBuffer().bytes()[0], std::byte{0x22});
}

TEST(ClientSegment, EverySlotMayBeInFlightAgainAndAgain) {
  Pair pair;
  for (int round = 0; round < 100; ++round) {
    while (auto request = pair.client->Prepare(1)) pair.client->Submit(std::move(*request));
    ASSERT_TRUE(pair.Serve().ok());
    int answers = 0;
    while (auto answer = pair.client->Collect()) ++answers;
    ASSERT_EQ(answers, 64);
  }
}

TEST(ClientSegment, ADroppedRequestIsAnsweredAsCancelled) {
  Pair pair;
  pair.client->Submit(std::move(*pair.client->Prepare(1)));
  bool any;
  ASSERT_TRUE(pair.session->Poll([](ClientRequest) {}, &any).ok());
  EXPECT_EQ(pair.client->Collect()->code(), Code::kCancelled);
}

TEST(ClientSegment, TheClientKnowsWhenTheServerIsGone) {
  Pair pair;
  EXPECT_FALSE(pair.client->server_gone());
  pair.session.reset();
  EXPECT_TRUE(pair.client->server_gone());
}

TEST(ClientSegment, AThreadSleepsOnItsFutexUntilItIsAnswered) {
  Pair pair;
  std::atomic<bool> stop{false};
  std::thread server([&] {
    while (!stop) EXPECT_TRUE(pair.Serve().ok());
  });
  AdaptiveSpin spin(0);
  for (int i = 0; i < 2000; ++i) {
    pair.client->Submit(std::move(*pair.client->Prepare(3)));
    EXPECT_TRUE(pair.client->Wait(spin, -1));
    EXPECT_EQ(pair.client->Collect()->result(), 3);
  }
  stop = true;
  server.join();
}

TEST(ClientSegment, AttachingGarbageIsAStatus) {
  EXPECT_FALSE(ClientSegment::Attach(Fd()).ok());
  EXPECT_FALSE(ClientSegment::Attach(Fd(open("/dev/zero", O_RDWR))).ok());
  auto zeros = CreateSealedFile("zeros", 1 << 20);
  EXPECT_FALSE(ClientSegment::Attach(std::move(*zeros)).ok());
  auto real = ClientSegment::Create({});
  ASSERT_TRUE(real.ok());
  Fd copy(fcntl((*real)->memory_fd(), F_DUPFD_CLOEXEC, 0));
  uint32_t slots = 192;
  ASSERT_EQ(pwrite(copy.get(), &slots, 4, offsetof(ClientHeader, slots)), 4);
  EXPECT_EQ(ClientSegment::Attach(std::move(copy)).code(), Code::kCorrupt);
}

TEST(ClientSegment, AttackS10ASegmentCanNeitherBeResizedNorSealedByItsClient) {
  Pair pair;
  const int fd = pair.client->segment().memory_fd();
  EXPECT_EQ(ftruncate(fd, 0), -1);
  EXPECT_EQ(ftruncate(fd, 1 << 30), -1);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(ClientSegment, AttackS10AFileThatCanStillBeCutIsNotAttached) {
  auto real = ClientSegment::Create({});
  ASSERT_TRUE(real.ok());
  struct stat info;
  ASSERT_EQ(fstat((*real)->memory_fd(), &info), 0);
  Fd copy(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  Bytes bytes(static_cast<size_t>(info.st_size));
  ASSERT_EQ(pread((*real)->memory_fd(), bytes.data(), bytes.size(), 0), info.st_size);
  ASSERT_EQ(pwrite(copy.get(), bytes.data(), bytes.size(), 0), info.st_size);
  EXPECT_EQ(ClientSegment::Attach(std::move(copy)).code(), Code::kInvalid);
}

TEST(ClientSegment, ReceivingSomethingElseIsAStatus) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd a(ends[0]);
  Fd b(ends[1]);
  const int two[] = {0, 1};
  ASSERT_TRUE(SendDescriptors(a.get(), AsBytes("NONSENSE"), two).ok());
  EXPECT_FALSE(ClientPort::Receive(b.get()).ok());
  ASSERT_TRUE(SendDescriptors(a.get(), AsBytes("ATLCLNT1"), two).ok());
  EXPECT_FALSE(ClientPort::Receive(b.get()).ok());
}

// --- Hostile clients. Each is cut off by a Status; the server neither crashes nor hangs.

class HostileClientTest : public testing::Test {
 protected:
  ClientRings& rings() { return pair_.client->segment().rings(); }
  // A slot as an honest client would submit it, except for `change`, made just before the bits.
  template <typename F>
  Status Submit(F change) {
    SlotRecord& slot = pair_.client->segment().slots()[0];
    slot.op.Store(1);
    slot.StoreWord({SlotState::kSubmitted, kServerHolder, 1});
    change(slot);
    rings().requests.Post(0);
    rings().server.RaiseArrival(0);
    return pair_.Serve();
  }
  Pair pair_;
};

TEST_F(HostileClientTest, TheUnchangedRequestIsFine) {
  EXPECT_TRUE(Submit([](SlotRecord&) {}).ok());
}
TEST_F(HostileClientTest, UnknownOperation) {
  EXPECT_EQ(Submit([](SlotRecord& slot) { slot.op.Store(kMaxOp + 1); }).code(), Code::kInvalid);
  // And it stays cut off.
  EXPECT_EQ(pair_.Serve().code(), Code::kInvalid);
}
TEST_F(HostileClientTest, TooManyArguments) {
  EXPECT_FALSE(Submit([](SlotRecord& slot) { slot.argument_bytes.Store(193); }).ok());
}
TEST_F(HostileClientTest, BufferOutsideOfItsArea) {
  EXPECT_FALSE(Submit([&](SlotRecord& slot) {
                 slot.buffer_offset.Store(pair_.client->segment().area().size() - 1);
                 slot.buffer_length.Store(2);
               }).ok());
}
TEST_F(HostileClientTest, BufferThatWrapsAround) {
  EXPECT_FALSE(Submit([&](SlotRecord& slot) {
                 slot.buffer_offset.Store(~0ull - 10);
                 slot.buffer_length.Store(100);
               }).ok());
}
TEST_F(HostileClientTest, BufferBeyondTheLimit) {
  EXPECT_FALSE(Submit([&](SlotRecord& slot) { slot.buffer_length.Store(kMiB + 1); }).ok());
}
TEST_F(HostileClientTest, FlagThatIsNotForClients) {
  EXPECT_FALSE(Submit([](SlotRecord& slot) { slot.flags.Store(kFlagReplayed); }).ok());
}
TEST_F(HostileClientTest, SlotThatIsNotSubmitted) {
  EXPECT_FALSE(Submit([](SlotRecord& slot) { slot.word.store(~0ull); }).ok());
}
// Behind the last slot lie the client's buffers, in which it may forge whatever it likes.
TEST_F(HostileClientTest, SlotThatIsNone) {
  ClientSegment& segment = pair_.client->segment();
  auto* forged = reinterpret_cast<SlotRecord*>(segment.area().data());
  ASSERT_EQ(forged, segment.slots().data() + 64);
  forged->op.Store(1);
  forged->StoreWord({SlotState::kSubmitted, kServerHolder, 1});
  rings().requests.Post(64);
  rings().server.RaiseArrival(1);
  const Status status = pair_.Serve();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("a slot that is none"), std::string_view::npos);
}
TEST_F(HostileClientTest, WordThatIsNone) {
  rings().server.RaiseArrival(63);
  EXPECT_FALSE(pair_.Serve().ok());
}
TEST_F(HostileClientTest, AbsurdStampsDoNoHarm) {
  for (const int64_t stamp : {INT64_MIN, INT64_MAX, int64_t{-1}, int64_t{0}}) {
    EXPECT_TRUE(Submit([&](SlotRecord& slot) { slot.submitted_ns.Store(stamp); }).ok());
  }
}

TEST_F(HostileClientTest, SubmittingASlotThatIsInService) {
  pair_.client->Submit(std::move(*pair_.client->Prepare(1)));
  std::vector<ClientRequest> held;
  bool any;
  const auto hold = [&](ClientRequest request) { held.push_back(std::move(request)); };
  ASSERT_TRUE(pair_.session->Poll(hold, &any).ok());
  rings().requests.Post(0);
  rings().server.RaiseArrival(0);
  EXPECT_FALSE(pair_.session->Poll(hold, &any).ok());
  EXPECT_EQ(held.size(), 1u);
}

TEST_F(HostileClientTest, RingingForNothingIsBorneForAWhileOnly) {
  Status status;
  int rings_borne = 0;
  for (; status.ok() && rings_borne < 100'000; ++rings_borne) {
    rings().server.RaiseArrival(0);
    status = pair_.Serve();
  }
  EXPECT_FALSE(status.ok());
  EXPECT_GE(rings_borne, 512);
}

// What was judged is what is served: the client cannot change it afterwards.
TEST_F(HostileClientTest, ARequestThatChangesAfterItWasTakenStaysAsItWas) {
  auto request = pair_.client->Prepare(2);
  request->SetArguments(AsBytes("honest"));
  pair_.client->Submit(std::move(*request));
  const auto serve = [&](ClientRequest taken) {
    SlotRecord& slot = pair_.client->segment().slots()[0];
    std::memcpy(slot.arguments, "hostile", 7);
    slot.op.Store(0xFFFF);
    slot.argument_bytes.Store(0xFFFF);
    slot.buffer_offset.Store(~0ull);
    slot.buffer_length.Store(~0u);
    slot.word.store(~0ull);
    EXPECT_EQ(taken.op(), 2);
    EXPECT_EQ(AsText(taken.arguments()), "honest");
    EXPECT_TRUE(taken.buffer().empty());
    pair_.session->Respond(std::move(taken), Code::kOk, 1);
  };
  bool any;
  EXPECT_TRUE(pair_.session->Poll(serve, &any).ok());
}

// Bits that mean nothing do not keep the server from sleeping.
TEST_F(HostileClientTest, CannotKeepTheServerAwakeWithAnAnswerBit) {
  rings().server.answers.store(~0ull);
  EXPECT_TRUE(pair_.session->PrepareSleep());
}

// A bell that is never emptied, or whose flags were changed, blocks nobody.
TEST_F(HostileClientTest, AFullBellDoesNotBlockTheServer) {
  const int bell = pair_.client->doorbell_fd();
  ASSERT_EQ(fcntl(bell, F_SETFL, 0), 0);
  for (int i = 0; i < 10'000; ++i) {
    rings().client.sleeping.store(static_cast<uint32_t>(Sleep::kEvent));
    ASSERT_TRUE(Submit([](SlotRecord&) {}).ok());
  }
}

TEST_F(HostileClientTest, ABellThatIsClosedDoesNotEndTheServer) {
  pair_.client->Submit(std::move(*pair_.client->Prepare(1)));
  rings().client.sleeping.store(static_cast<uint32_t>(Sleep::kEvent));
  pair_.client.reset();
  EXPECT_TRUE(pair_.Serve().ok());
}

TEST_F(HostileClientTest, PunchingHolesDoesNoHarm) {
  pair_.client->Submit(std::move(*pair_.client->Prepare(1)));
  ClientSegment& segment = pair_.client->segment();
  EXPECT_NE(ftruncate(segment.memory_fd(), 0), 0);
  ASSERT_EQ(fallocate(segment.memory_fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20),
            0);
  EXPECT_TRUE(pair_.Serve().ok());
}

TEST_F(HostileClientTest, RandomBytesEverywhereWhileTheServerPolls) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  for (int round = 0; round < 300; ++round) {
    Pair pair;
    std::mt19937_64 random(seed + round);
    ClientSegment& segment = pair.client->segment();
    auto* words = reinterpret_cast<std::atomic<uint64_t>*>(&segment.rings());
    const size_t count =
        (sizeof(ClientRings) + kPageBytes - sizeof(ClientRings)) / 8 + 64 * kSlotBytes / 8;
    std::thread server([&] {
      for (int i = 0; i < 200; ++i) {
        if (!pair.Serve().ok()) return;
        pair.session->PrepareSleep();
        pair.session->Woken();
      }
    });
    for (int i = 0; i < 200; ++i) {
      if (random() % 4 == 0) {
        if (auto request = pair.client->Prepare(random() % 12)) {
          pair.client->Submit(std::move(*request));
        }
      }
      words[random() % count].store(random() % 8 == 0 ? random() : random() % 256,
                                    std::memory_order_relaxed);
      while (auto answer = pair.client->Collect()) (void)answer->code();
    }
    server.join();
  }
}

}  // namespace
}  // namespace atl
