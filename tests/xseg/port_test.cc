// SPDX-License-Identifier: Apache-2.0
#include "xseg/port.h"

#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "tests/xseg/segment_fixture.h"

namespace atl {
namespace {

class PortTest : public testing::Test {
 protected:
  std::unique_ptr<Segment> segment_ = MakeSegment();
  std::unique_ptr<Port> client_ = ClaimOrDie(*segment_, "client");
  std::unique_ptr<Port> server_ = ClaimOrDie(*segment_, "server");
};

TEST_F(PortTest, ARequestTravelsThereAndBack) {
  auto request = client_->Prepare(7);
  ASSERT_TRUE(request);
  request->set_trace(0xABCD);
  request->SetArguments(AsBytes("where and what"));
  auto buffer = client_->buffers().Allocate(4096);
  ASSERT_TRUE(buffer);
  std::memset(buffer->bytes().data(), 0x5A, 4096);
  request->Carry(std::move(*buffer));
  client_->Submit(std::move(*request), server_->index());

  auto accepted = server_->Accept();
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->op(), 7);
  EXPECT_EQ(accepted->trace(), 0xABCDu);
  EXPECT_EQ(AsText(accepted->arguments()), "where and what");
  auto bytes = segment_->Resolve(accepted->buffer());
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->size(), 4096u);
  EXPECT_EQ((*bytes)[100], std::byte{0x5A});
  accepted->SetArguments(AsBytes("an answer"));
  server_->Respond(std::move(*accepted), Code::kNoSpace, -3);

  auto answer = client_->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), Code::kNoSpace);
  EXPECT_EQ(answer->result(), -3);
  EXPECT_EQ(AsText(answer->arguments()), "an answer");
  EXPECT_GT(answer->accepted_ns(), 0);
  EXPECT_LE(answer->submitted_ns(), answer->answered_ns());
  EXPECT_FALSE(client_->Collect());
  EXPECT_FALSE(server_->Accept());
}

TEST_F(PortTest, BackPressureIsAValue) {
  std::vector<Request> all;
  for (int i = 0; i < 64; ++i) all.push_back(std::move(*client_->Prepare(1)));
  EXPECT_FALSE(client_->Prepare(1));
  EXPECT_EQ(segment_->metrics(client_->index()).refused.Load(), 1u);
  all.pop_back();
  EXPECT_TRUE(client_->Prepare(1));
}

TEST_F(PortTest, EverySlotMayBeInFlightAtOnce) {
  for (int round = 0; round < 3; ++round) {
    std::set<uint64_t> traces;
    for (uint64_t i = 0; i < 64; ++i) {
      auto request = client_->Prepare(1);
      ASSERT_TRUE(request);
      request->set_trace(i);
      client_->Submit(std::move(*request), server_->index());
    }
    EXPECT_FALSE(client_->Prepare(1));
    while (auto request = server_->Accept()) {
      traces.insert(request->trace());
      server_->Respond(std::move(*request), Code::kOk, 0);
    }
    EXPECT_EQ(traces.size(), 64u);
    int collected = 0;
    while (auto answer = client_->Collect()) ++collected;
    EXPECT_EQ(collected, 64);
  }
}

TEST_F(PortTest, ADroppedTokenIsAnsweredAsCancelled) {
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  {
    auto request = server_->Accept();
  }
  auto answer = client_->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), Code::kCancelled);
}

TEST_F(PortTest, ADroppedAnswerFreesItsBuffer) {
  auto request = client_->Prepare(1);
  request->Carry(std::move(*client_->buffers().Allocate(100'000)));
  client_->Submit(std::move(*request), server_->index());
  server_->Respond(std::move(*server_->Accept()), Code::kOk, 0);
  EXPECT_EQ(client_->buffers().in_use(), 1u);
  {
    auto answer = client_->Collect();
  }
  EXPECT_EQ(client_->buffers().in_use(), 0u);
}

TEST_F(PortTest, AnAnswerMayBeSentAgainWithoutPreparing) {
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  for (int i = 0; i < 100; ++i) {
    server_->Respond(std::move(*server_->Accept()), Code::kOk, i);
    auto answer = client_->Collect();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result(), i);
    client_->Submit(std::move(*answer), server_->index());
  }
  server_->Respond(std::move(*server_->Accept()), Code::kOk, 0);
  EXPECT_TRUE(client_->Collect());
}

TEST_F(PortTest, ServesManySenders) {
  auto other = ClaimOrDie(*segment_, "other");
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  other->Submit(std::move(*other->Prepare(2)), server_->index());
  std::set<int> ops;
  while (auto request = server_->Accept()) {
    ops.insert(request->op());
    server_->Respond(std::move(*request), Code::kOk, request->op());
  }
  EXPECT_EQ(ops, (std::set<int>{1, 2}));
  EXPECT_TRUE(client_->Collect());
  EXPECT_TRUE(other->Collect());
}

TEST_F(PortTest, AStaleBitIsIgnored) {
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  auto request = server_->Accept();
  ASSERT_TRUE(request);
  // Set once more, as by a sender that repeats itself.
  for (unsigned i = 0; i < 64; ++i) {
    segment_->mailbox({.to = server_->index(), .from = client_->index()}).Post(i);
  }
  segment_->port(server_->index()).hot.RaiseArrival(client_->index());
  EXPECT_FALSE(server_->Accept());
  server_->Respond(std::move(*request), Code::kOk, 0);
  EXPECT_TRUE(client_->Collect());
}

TEST_F(PortTest, OneRequestAtATimeNeedsNoMailbox) {
  HotLine& hot = segment_->port(server_->index()).hot;
  for (int i = 0; i < 5; ++i) {
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
    EXPECT_EQ(hot.arrivals.load(), 0u);
    auto request = server_->Accept();
    ASSERT_TRUE(request);
    EXPECT_FALSE(server_->Accept());
    server_->Respond(std::move(*request), Code::kOk, i);
    EXPECT_EQ(segment_->port(client_->index()).hot.answers.load(), 0u);
    auto answer = client_->Collect();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result(), i);
    EXPECT_FALSE(client_->Collect());
  }
  EXPECT_FALSE(server_->HasWork());
  EXPECT_FALSE(client_->HasWork());
}

TEST_F(PortTest, WhoeverIsTakenExpressKeepsNobodyWaiting) {
  auto other = ClaimOrDie(*segment_, "other");
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  other->Submit(std::move(*other->Prepare(2)), server_->index());
  for (int i = 0; i < 3; ++i) {
    auto request = server_->Accept();
    ASSERT_TRUE(request);
    const int op = request->op();
    server_->Respond(std::move(*request), Code::kOk, 0);
    if (op == 2) return;
    (void)client_->Collect();
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  }
  FAIL() << "the other one waits for ever";
}

TEST_F(PortTest, NonsenseInAnExpressWordIsIgnored) {
  HotLine& hot = segment_->port(server_->index()).hot;
  HotLine& back = segment_->port(client_->index()).hot;
  const uint64_t slots = segment_->slot_count();
  for (const uint64_t value : {uint64_t{1}, slots, slots + 1, ~uint64_t{0}}) {
    hot.express_request.store(value);
    back.express_answer.store(value);
    EXPECT_FALSE(server_->Accept()) << value;
    EXPECT_FALSE(client_->Collect()) << value;
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
    auto request = server_->Accept();
    ASSERT_TRUE(request) << value;
    server_->Respond(std::move(*request), Code::kOk, 0);
    EXPECT_TRUE(client_->Collect()) << value;
    EXPECT_FALSE(server_->Accept()) << value;
    EXPECT_FALSE(client_->Collect()) << value;
    EXPECT_EQ(hot.express_request.load(), 0u);
    EXPECT_EQ(back.express_answer.load(), 0u);
  }
}

TEST_F(PortTest, WaitReturnsAtOnceWhenThereIsWorkAndInTimeWhenThereIsNone) {
  AdaptiveSpin spin(1000);
  EXPECT_FALSE(server_->Wait(spin, 2'000'000));
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  EXPECT_TRUE(server_->Wait(spin, -1));
  server_->Respond(std::move(*server_->Accept()), Code::kOk, 0);
  EXPECT_FALSE(server_->Wait(spin, 2'000'000)) << "it was taken already";
  EXPECT_TRUE(client_->Wait(spin, -1));
  EXPECT_TRUE(client_->Collect());
  EXPECT_FALSE(client_->Wait(spin, 2'000'000)) << "it was taken already";
}

TEST_F(PortTest, ASleeperIsWoken) {
  constexpr int kRounds = 2000;
  std::thread server([&] {
    AdaptiveSpin spin(0);
    for (int served = 0; served < kRounds;) {
      server_->Wait(spin, -1);
      while (auto request = server_->Accept()) {
        server_->Respond(std::move(*request), Code::kOk, ++served);
      }
    }
  });
  AdaptiveSpin spin(0);
  for (int i = 1; i <= kRounds; ++i) {
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
    client_->Wait(spin, -1);
    auto answer = client_->Collect();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result(), i);
  }
  server.join();
}

TEST_F(PortTest, CountsWhatItDoes) {
  auto request = client_->Prepare(3);
  request->Carry(std::move(*client_->buffers().Allocate(8192)));
  client_->Submit(std::move(*request), server_->index());
  EXPECT_EQ(Take(segment_->metrics(client_->index()).sent).in_flight, 1u);
  server_->Respond(std::move(*server_->Accept()), Code::kIo, 0);
  EXPECT_TRUE(client_->Collect());
  const auto sent = Take(segment_->metrics(client_->index()).sent);
  const auto served = Take(segment_->metrics(server_->index()).served);
  for (const auto& side : {sent, served}) {
    EXPECT_EQ(side.requests[3], 1u);
    EXPECT_EQ(side.errors[3], 1u);
    EXPECT_EQ(side.bytes, 8192u);
    EXPECT_EQ(side.in_flight, 0u);
    EXPECT_EQ(side.latency.count, 1u);
  }
}

TEST(PortClaim, ANameIsHeldByOneAtATime) {
  auto segment = MakeSegment();
  auto first = ClaimOrDie(*segment, "mapper");
  EXPECT_EQ(Port::Claim(segment.get(), "mapper").code(), Code::kExists);
  EXPECT_EQ(*Port::Find(*segment, "mapper"), first->index());
  const uint32_t incarnation = first->incarnation();
  first.reset();
  EXPECT_EQ(Port::Find(*segment, "mapper").code(), Code::kNotFound);
  auto second = ClaimOrDie(*segment, "mapper");
  EXPECT_GT(second->incarnation(), incarnation);
}

TEST(PortClaim, RefusesNamesThatAreNone) {
  auto segment = MakeSegment();
  EXPECT_EQ(Port::Claim(segment.get(), "").code(), Code::kInvalid);
  EXPECT_EQ(Port::Claim(segment.get(), "a b").code(), Code::kInvalid);
  EXPECT_EQ(Port::Claim(segment.get(), std::string(kPortNameBytes, 'x')).code(), Code::kInvalid);
  EXPECT_TRUE(Port::Claim(segment.get(), std::string(kPortNameBytes - 1, 'x')).ok());
}

TEST(PortClaim, ReachesTheLimitOfPorts) {
  auto segment = MakeSegment();
  std::vector<std::unique_ptr<Port>> ports;
  for (int i = 0; i < 8; ++i) ports.push_back(ClaimOrDie(*segment, "p" + std::to_string(i)));
  EXPECT_EQ(Port::Claim(segment.get(), "one-too-many").code(), Code::kLimit);
}

TEST(PortClaim, RivalsForOneNameNeverBothWin) {
  for (int round = 0; round < 200; ++round) {
    auto segment = MakeSegment({.ports = 4, .slots_per_port = 64, .blocks = {1, 1, 1}});
    std::unique_ptr<Port> won[2];
    std::thread rival([&] {
      if (auto port = Port::Claim(segment.get(), "same"); port.ok()) won[1] = std::move(*port);
    });
    if (auto port = Port::Claim(segment.get(), "same"); port.ok()) won[0] = std::move(*port);
    rival.join();
    EXPECT_FALSE(won[0] && won[1]);
  }
}

TEST(PortClaim, WhatWaitsForAClosedPortIsKeptForItsName) {
  auto segment = MakeSegment();
  auto client = ClaimOrDie(*segment, "client");
  auto server = ClaimOrDie(*segment, "server");
  client->Submit(std::move(*client->Prepare(5)), server->index());
  server.reset();
  server = ClaimOrDie(*segment, "server");
  auto waiting = server->Replay();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].op(), 5);
  EXPECT_FALSE(waiting[0].is_replayed());
  EXPECT_FALSE(server->Accept());
  server->Respond(std::move(waiting[0]), Code::kOk, 0);
  EXPECT_TRUE(client->Collect());
}

TEST(PortClaim, WhatWasSentToAnEarlierPortIsAnsweredByTheNextOneAtItsPlace) {
  auto segment = MakeSegment();
  auto client = ClaimOrDie(*segment, "client");
  PortIndex gone;
  {
    auto server = ClaimOrDie(*segment, "server");
    gone = server->index();
  }
  client->Submit(std::move(*client->Prepare(5)), gone);
  auto other = ClaimOrDie(*segment, "other");
  ASSERT_EQ(other->index(), gone);
  auto answer = client->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), Code::kUnavailable);
}

TEST(PortClaim, WhoFindsANewPortByItsNameIsServed) {
  for (int round = 0; round < 100; ++round) {
    // With many slots, so that looking through them takes a while.
    auto segment = MakeSegment({.ports = 64, .slots_per_port = 512, .blocks = {64, 16, 40}});
    auto client = ClaimOrDie(*segment, "client");
    std::atomic<bool> over = false;
    std::thread server([&] {
      auto port = ClaimOrDie(*segment, "server");
      while (!over) {
        if (auto request = port->Accept()) port->Respond(std::move(*request), Code::kOk, 0);
      }
    });
    auto found = Port::Find(*segment, "server");
    while (!found.ok()) found = Port::Find(*segment, "server");
    auto request = client->Prepare(1);
    ASSERT_TRUE(request);
    client->Submit(std::move(*request), *found);
    auto answer = client->Collect();
    while (!answer) answer = client->Collect();
    over = true;
    server.join();
    ASSERT_EQ(answer->code(), Code::kOk) << "round " << round;
  }
}

TEST(RequestDeathTest, SubmittingATokenOfAnotherPortEndsTheProcess) {
  auto segment = MakeSegment();
  auto a = ClaimOrDie(*segment, "a");
  auto b = ClaimOrDie(*segment, "b");
  auto request = a->Prepare(1);
  EXPECT_DEATH(b->Submit(std::move(*request), a->index()), "CHECK failed");
}

}  // namespace
}  // namespace atl
