// SPDX-License-Identifier: Apache-2.0
//
// Renewals of a lease whose answers are lost: the record has them, the node does not know.
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

bool IsLeaseCall(const StoreCall& call, StoreOp op) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == op && key != nullptr && key->kind == RecordKind::kLease;
}

class LeaseRenewal : public ::testing::Test {
 protected:
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  // The next `count` calls of this sort are made, and their callers hear of an error.
  void LoseAnswers(StoreOp op, int count) {
    node_.hooks().lose = [this, op, count](const StoreCall& call) -> Status {
      if (!IsLeaseCall(call, op) || lost_ == count) return {};
      ++lost_;
      return {Code::kIo, "the answer is lost"};
    };
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_, {.lease_term_ns = 15 * kSecond}};
  Hands hands_{&env_, &node_.atoll()};
  int lost_ = 0;
};

TEST_F(LeaseRenewal, ANodeGoesOnAfterALostAnswer) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  auto device = hands_.Open("v");
  const Bytes data(512, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  for (int round = 1; round <= 3; ++round) {
    LoseAnswers(StoreOp::kSwapRecord, round);
    env_.RunUntilIdleFor(60 * kSecond);
    ASSERT_EQ(lost_, round);
    const Status status = env_.Run(device->Write(0, data, {}));
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  env_.Run(CloseTask(device.get()));
  EXPECT_TRUE(node_.Stop().ok());
}

TEST_F(LeaseRenewal, ALeaseIsMadeAfterALostAnswer) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  LoseAnswers(StoreOp::kSwapRecord, 1);
  EXPECT_EQ(hands_.Write("v", 0, "data").code(), Code::kIo);
  ASSERT_EQ(lost_, 1);
  EXPECT_TRUE(hands_.Write("v", 0, "data").ok());
  EXPECT_TRUE(node_.Stop().ok());
}

TEST_F(LeaseRenewal, ANodeThatStopsAfterALostAnswerLeavesNoLease) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  ASSERT_TRUE(hands_.Write("v", 0, "data").ok());
  LoseAnswers(StoreOp::kSwapRecord, 1);
  env_.RunUntilIdleFor(5'050 * kMillisecond);  // One renewal, and not the next attempt.
  ASSERT_EQ(lost_, 1);
  EXPECT_TRUE(node_.Stop().ok());
  EXPECT_EQ(env_.Run(ReadLease(&node_.store(), node_.incarnation())).code(), Code::kNotFound);
}

// A lease that was ended for us is not taken back: others may hold what was ours.
TEST_F(LeaseRenewal, ALeaseThatWasEndedIsNotRenewed) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  auto device = hands_.Open("v");
  const Bytes data(512, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  ASSERT_TRUE(env_.Run(EndLease(&env_, &node_.store(), node_.incarnation())).ok());
  env_.RunUntilIdleFor(60 * kSecond);
  EXPECT_EQ(env_.Run(device->Write(0, data, {})).code(), Code::kFenced);
  EXPECT_EQ(env_.Run(ReadLease(&node_.store(), node_.incarnation())).code(), Code::kNotFound);
  env_.Run(CloseTask(device.get()));
  (void)node_.Stop();
}

}  // namespace
}  // namespace atl
