// SPDX-License-Identifier: Apache-2.0
//
// A fold that takes longer than the changes that come meanwhile, and then the end.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class SlowFold : public Disturbed {};

TEST_F(SlowFold, AVolumeThatDiesDuringASlowFoldOpensAgain) {
  auto node = std::make_unique<MemoryNode>(&env_, &world_);
  Hands hands(&env_, &node->atoll());
  const auto made = hands.Create("v", 64 * kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  Event dead;
  int held = 0;
  node->hooks().hold_before = [&](const StoreCall& call) {
    if (call.op != StoreOp::kAdoptLog || !IsOfNodes(call)) return static_cast<Event*>(nullptr);
    ++held;
    return &dead;
  };
  // More changes than a replay list may have, and too few journals to fill it.
  for (uint64_t total = 0; total < kMaxReplayEntries + 100'000; total += 256 * 128) {
    const Status status = env_.Run(ToggleMany(device.get(), 256, 64));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  ASSERT_EQ(held, 1) << "the fold is under way";
  ASSERT_TRUE(WriteGrain(device.get(), 1, 'y').ok());
  Close(device);
  node->hooks().fail = [](const StoreCall&) { return Status(Code::kUnavailable, "dead"); };
  dead.Set();
  node->Kill();

  MemoryNode next(&env_, &world_);
  ASSERT_TRUE(env_.Run(next.atoll().BuryPredecessor(node->incarnation())).ok());
  Hands again(&env_, &next.atoll());
  EXPECT_EQ(again.Read("v", kSubGrain, 4), "yyyy");
  EXPECT_TRUE(again.Write("v", 0, "here").ok());
  EXPECT_TRUE(next.Stop().ok());
}

}  // namespace
}  // namespace atl
