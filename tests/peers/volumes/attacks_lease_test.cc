// SPDX-License-Identifier: Apache-2.0
//
// Attacks on the right to act: a holder that was cut off, or stopped, when its lease ran out.
// failure_test.cc has the plain case.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

// S6: one lease for a whole node, so its end has to reach every request of every volume.
class AttackLease : public Attack {
 protected:
  AttackLease() {
    node_ = &Start({.lease_term_ns = kTerm});
    EXPECT_TRUE(HandsOf(*node_).Create("v", kMiB).ok());
    device_ = HandsOf(*node_).Open("v");
    EXPECT_TRUE(WriteNow(device_.get(), 0, std::string(kSubGrain, 'a')).ok());
  }
  void TearDown() override {
    node_->hooks().hold_before = node_->hooks().hold_after = nullptr;
    Close(device_.get());
    Attack::TearDown();
  }
  static bool RenewsLease(const StoreCall& call) {
    return RecordOf(call, StoreOp::kSwapRecord, RecordKind::kLease) != nullptr;
  }
  // From now on no renewal reaches the store.
  void CutOff() {
    node_->hooks().fail = [](const StoreCall& call) {
      return RenewsLease(call) ? Status(Code::kUnavailable, "gone") : OkStatus();
    };
  }
  static constexpr int64_t kTerm = 10 * kSecond;
  MemoryNode* node_ = nullptr;
  std::unique_ptr<Device> device_;
};

TEST_F(AttackLease, S6NothingIsSubmittedWithoutALease) {
  CutOff();
  env_.RunUntilIdleFor(2 * kTerm);
  int submitted = 0;
  node_->hooks().before = [&](const StoreCall& call) {
    submitted += call.op == StoreOp::kWrite || call.op == StoreOp::kPunch ||
                 call.op == StoreOp::kAppend || call.op == StoreOp::kRead;
  };
  Bytes out(kSector);
  EXPECT_EQ(WriteNow(device_.get(), 0, "late").code(), Code::kFenced);
  EXPECT_EQ(WriteNow(device_.get(), kMiB / 2, "late").code(), Code::kFenced);
  EXPECT_EQ(env_.Run(device_->Discard({0, kMiB}, {})).code(), Code::kFenced);
  EXPECT_EQ(env_.Run(device_->Read(0, out)).code(), Code::kFenced);
  EXPECT_EQ(env_.Run(device_->Flush()).code(), Code::kFenced);
  EXPECT_EQ(submitted, 0);
  node_->hooks().before = nullptr;
}

TEST_F(AttackLease, S6AWriteThatTookLongerThanTheLeaseIsNotAcknowledged) {
  node_->hooks().hold_before = Once(Is(StoreOp::kWrite));
  const auto write = Begin(WriteTask(device_.get(), 0, "late"));
  ASSERT_TRUE(held_ && !write->ended);
  CutOff();
  env_.RunUntilIdleFor(2 * kTerm);
  LetGo();
  ASSERT_NO_FATAL_FAILURE(Await(write));
  EXPECT_EQ(write->status.code(), Code::kFenced);
}

TEST_F(AttackLease, S6AReadThatTookLongerThanTheLeaseIsNotAnswered) {
  node_->hooks().hold_after = Once(Is(StoreOp::kRead));
  Bytes out(kSector);
  const auto read = Begin(device_->Read(0, out));
  ASSERT_TRUE(held_ && !read->ended);
  CutOff();
  env_.RunUntilIdleFor(2 * kTerm);
  LetGo();
  ASSERT_NO_FATAL_FAILURE(Await(read));
  EXPECT_EQ(read->status.code(), Code::kFenced);
}

TEST_F(AttackLease, S6AFlushThatTookLongerThanTheLeaseIsNotAcknowledged) {
  node_->hooks().hold_after = Once(Is(StoreOp::kSyncLog));
  const auto flush = Begin(device_->Flush());
  ASSERT_TRUE(held_ && !flush->ended);
  CutOff();
  env_.RunUntilIdleFor(2 * kTerm);
  LetGo();
  ASSERT_NO_FATAL_FAILURE(Await(flush));
  EXPECT_EQ(flush->status.code(), Code::kFenced);
}

// Whoever breaks the lock counts from when it saw the renewal, which may be long before its sender
// hears of it; and the clocks of two machines differ.
TEST_F(AttackLease, S6ALeaseCountsFromBeforeItsRenewalWasSentLessATenth) {
  node_->hooks().hold_after = Once(RenewsLease);
  while (!held_) ASSERT_TRUE(env_.Step());
  const int64_t sent_ns = env_.BootNs();
  const auto run_until = [&](int64_t since_ns) {
    env_.RunUntilIdleFor(sent_ns + since_ns - env_.BootNs());
  };
  run_until(kTerm / 2);
  CutOff();
  LetGo();
  run_until(kTerm * 85 / 100);
  EXPECT_TRUE(WriteNow(device_.get(), 0, "in time").ok());
  run_until(kTerm * 95 / 100);
  EXPECT_EQ(WriteNow(device_.get(), 0, "late").code(), Code::kFenced);
}

}  // namespace
}  // namespace atl
