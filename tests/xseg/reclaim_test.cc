// SPDX-License-Identifier: Apache-2.0
#include "xseg/reclaim.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/xseg/segment_fixture.h"
#include "xseg/base/stamp_clock.h"

namespace atl {
namespace {

// Ends a port as kill -9 would end its process.
void Kill(std::unique_ptr<Port>& port) {
  port->Vanish();
  port.reset();
}

class ReclaimTest : public testing::Test {
 protected:
  Result<QuarantineReport> QuarantineKilled(PortIndex port) {
    return Quarantine(*segment_, port, ProofOfDeath::kCallerKnows);
  }
  std::unique_ptr<Segment> segment_ = MakeSegment();
  std::unique_ptr<Port> client_ = ClaimOrDie(*segment_, "client");
  std::unique_ptr<Port> server_ = ClaimOrDie(*segment_, "server");
  PortIndex client_index_ = client_->index();
  PortIndex server_index_ = server_->index();
};

TEST_F(ReclaimTest, ALivingOwnerIsNotQuarantined) {
  EXPECT_EQ(Quarantine(*segment_, server_index_).code(), Code::kBusy);
  EXPECT_EQ(Quarantine(*segment_, 7).code(), Code::kConflict);
  EXPECT_EQ(Quarantine(*segment_, 99).code(), Code::kInvalid);
  EXPECT_EQ(Release(*segment_, server_index_).code(), Code::kConflict);
  EXPECT_TRUE(PortsOfTheDead(*segment_).empty());
}

TEST_F(ReclaimTest, TheSuccessorOfAReceiverGetsWhatItHeld) {
  for (uint16_t op = 1; op <= 3; ++op) {
    client_->Submit(std::move(*client_->Prepare(op)), server_index_);
  }
  auto accepted = server_->Accept();
  ASSERT_TRUE(accepted);
  accepted->Leave();
  Kill(server_);
  client_->Submit(std::move(*client_->Prepare(4)), server_index_);  // Others go on sending.

  auto report = QuarantineKilled(server_index_);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->to_replay, 4u);
  EXPECT_EQ(Port::Claim(segment_.get(), "server").code(), Code::kExists);
  ASSERT_TRUE(Release(*segment_, server_index_).ok());
  server_ = ClaimOrDie(*segment_, "server");
  EXPECT_EQ(server_->index(), server_index_);
  auto replayed = server_->Replay();
  ASSERT_EQ(replayed.size(), 4u);
  int seen_before = 0;
  for (Request& request : replayed) {
    seen_before += request.is_replayed() ? 1 : 0;
    server_->Respond(std::move(request), Code::kOk, 0);
  }
  EXPECT_EQ(seen_before, 1);
  EXPECT_FALSE(server_->Accept());
  int answers = 0;
  while (auto answer = client_->Collect()) ++answers;
  EXPECT_EQ(answers, 4);
}

TEST_F(ReclaimTest, WhatADeadSenderSentIsWithdrawnAndItsBuffersAreFreed) {
  auto request = client_->Prepare(1);
  request->Carry(std::move(*client_->buffers().Allocate(2 << 20)));
  client_->Submit(std::move(*request), server_index_);
  Kill(client_);
  auto report = QuarantineKilled(client_index_);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->withdrawn, 1u);
  EXPECT_FALSE(server_->Accept());
  EXPECT_EQ(BlocksOf(*segment_, client_index_), 2u);
  auto released = Release(*segment_, client_index_);
  ASSERT_TRUE(released.ok());
  EXPECT_EQ(released->blocks, 2u);
  EXPECT_EQ(released->slots, 1u);
  EXPECT_EQ(BlocksOf(*segment_, client_index_), 0u);
}

TEST_F(ReclaimTest, NothingIsReusedWhileALivingPeerWorksOnIt) {
  auto request = client_->Prepare(1);
  request->Carry(std::move(*client_->buffers().Allocate(4096)));
  client_->Submit(std::move(*request), server_index_);
  auto accepted = server_->Accept();
  Kill(client_);
  ASSERT_EQ(QuarantineKilled(client_index_)->in_flight, 1u);
  EXPECT_EQ(Release(*segment_, client_index_).code(), Code::kBusy);
  EXPECT_EQ(BlocksOf(*segment_, client_index_), 1u);
  server_->Respond(std::move(*accepted), Code::kOk, 0);
  EXPECT_TRUE(Release(*segment_, client_index_).ok());
  client_ = ClaimOrDie(*segment_, "client");
  EXPECT_FALSE(client_->Collect());
  for (int i = 0; i < 64; ++i) client_->Submit(std::move(*client_->Prepare(1)), server_index_);
  int served = 0;
  while (auto next = server_->Accept()) {
    server_->Respond(std::move(*next), Code::kOk, 0);
    ++served;
  }
  EXPECT_EQ(served, 64);
}

// Killed after the state of its answer was stored, before the bit was set: nobody would ever look.
TEST_F(ReclaimTest, AnAnswerThatWasNotAnnouncedIsAnnouncedAgain) {
  client_->Submit(std::move(*client_->Prepare(1)), server_index_);
  auto accepted = server_->Accept();
  server_->Respond(std::move(*accepted), Code::kOk, 42);
  PortRecord& record = segment_->port(client_index_);
  record.answers.Clear();
  record.hot.answers.store(0);
  record.hot.express_answer.store(0);
  EXPECT_FALSE(client_->Collect());
  Kill(server_);
  EXPECT_EQ(QuarantineKilled(server_index_)->reannounced, 1u);
  auto answer = client_->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->result(), 42);
}

// Killed after it silenced a doorbell, before it rang.
TEST_F(ReclaimTest, WhoeverSleepsIsRung) {
  client_->Submit(std::move(*client_->Prepare(1)), server_index_);
  auto accepted = server_->Accept();
  const int child = fork();
  if (child == 0) {
    AdaptiveSpin spin(0);
    const int64_t start = StampNowNs();
    client_->Wait(spin, 20'000'000'000);
    const bool timed_out = StampNowNs() - start > 15'000'000'000;
    _exit(!timed_out && client_->Collect() ? 0 : 1);
  }
  while (segment_->port(client_index_).hot.sleeping.load() == 0) usleep(1000);
  SlotRecord& slot = segment_->slot(segment_->first_slot(client_index_));
  slot.StoreWord({SlotState::kAnswered, server_index_, slot.LoadWord().sequence});
  usleep(50'000);  // The child is in the kernel now.
  segment_->port(client_index_).hot.sleeping.exchange(0);
  accepted->Leave();
  Kill(server_);
  ASSERT_TRUE(QuarantineKilled(server_index_).ok());
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(ReclaimTest, EachStepMayBeRepeated) {
  client_->Submit(std::move(*client_->Prepare(1)), server_index_);
  Kill(server_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(QuarantineKilled(server_index_)->to_replay, 1u);
  ASSERT_TRUE(Release(*segment_, server_index_).ok());
  EXPECT_EQ(Release(*segment_, server_index_).code(), Code::kConflict);
  auto answered = Abandon(*segment_, server_index_, Code::kUnavailable);
  ASSERT_TRUE(answered.ok());
  EXPECT_EQ(*answered, 1u);
  auto answer = client_->Collect();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), Code::kUnavailable);
  EXPECT_EQ(Port::Find(*segment_, "server").code(), Code::kNotFound);
}

TEST_F(ReclaimTest, APortThatClosesWithThingsOutIsLeftToReclaim) {
  client_->Submit(std::move(*client_->Prepare(1)), server_index_);
  client_.reset();
  EXPECT_EQ(segment_->port(client_index_).LoadControl().state, PortState::kQuarantined);
  EXPECT_EQ(QuarantineKilled(client_index_)->withdrawn, 1u);
  EXPECT_TRUE(Release(*segment_, client_index_).ok());
}

TEST_F(ReclaimTest, ADeadProcessIsFoundByItsPid) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const int child = fork();
  if (child == 0) {
    auto port = Port::Claim(segment_.get(), "doomed");
    char ok = port.ok() ? 1 : 0;
    (void)!write(ready[1], &ok, 1);
    pause();
  }
  char ok = 0;
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  ASSERT_EQ(ok, 1);
  const PortIndex doomed = *Port::Find(*segment_, "doomed");
  EXPECT_EQ(Quarantine(*segment_, doomed).code(), Code::kBusy);
  EXPECT_EQ(PortsOf(*segment_, segment_->port(doomed).owner()), std::vector<PortIndex>{doomed});
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(PortsOfTheDead(*segment_), std::vector<PortIndex>{doomed});
  EXPECT_TRUE(Quarantine(*segment_, doomed).ok());
  EXPECT_TRUE(Release(*segment_, doomed).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST(Process, APidThatIsUsedAgainIsAnotherProcess) {
  ProcessId self = ThisProcess();
  EXPECT_TRUE(IsAlive(self));
  self.start_ticks += 1;
  EXPECT_FALSE(IsAlive(self));
  EXPECT_FALSE(IsAlive({}));
}

}  // namespace
}  // namespace atl
