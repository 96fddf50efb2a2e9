// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints and folds that meet what they must not disturb: writers who wait for room, a close,
// the end of the process.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class CheckpointTest : public Disturbed {};

TEST_F(CheckpointTest, APinTakesTheJournalFromUnderNobodyWhoWaitsForRoomInIt) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  Event allocated;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return call.op == StoreOp::kReserve && held++ == 0 ? &allocated : nullptr;
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 2000));
  while (held == 0 && env_.Step()) {
  }
  ASSERT_FALSE(writer->ended) << "it waits for room in the journal";
  EXPECT_TRUE(hands.Snap("v", "s").ok());
  EXPECT_FALSE(writer->ended);
  allocated.Set();
  while (!writer->ended && env_.Step()) {
  }
  EXPECT_TRUE(writer->status.ok()) << writer->status.ToString();
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointTest, ACloseWaitsForTheCheckpointThatHasTheGateClosed) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", 8 * kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  Event swapped;
  int held = 0;
  node.hooks().hold_before = [&](const StoreCall& call) {
    return IsHeaderSwap(call) && held++ == 0 ? &swapped : nullptr;
  };
  // Alone, so that each change has a batch of its own and the journal fills fast.
  bool full = false;
  std::vector<std::shared_ptr<Pending>> writers;
  writers.push_back(Begin(ToggleMany(device.get(), 1, 1'000'000, &full)));
  while (held == 0 && env_.Step()) {
  }
  ASSERT_EQ(held, 1) << "the gate is closed";
  full = true;
  writers.push_back(Begin(ToggleMany(device.get(), 16, 1)));
  Leave(device.get());
  const auto stopped = Begin(ReleaseTask(&node.atoll(), "v"));
  EXPECT_FALSE(stopped->ended) << "the checkpoint has not come to its end";
  swapped.Set();
  LetRun();
  EXPECT_TRUE(stopped->ended);
  EXPECT_TRUE(stopped->status.ok()) << stopped->status.ToString();
  for (const auto& writer : writers) EXPECT_TRUE(writer->ended) << "nobody is forgotten outside";
  node.hooks().hold_before = nullptr;
  Close(device);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(CheckpointTest, AFoldThatFailsAtTheEndLosesNothing) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  node.hooks().fail = [](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kAppend || !IsOfNodes(call)) return {};
    return {Code::kNoSpace, "no room for nodes"};
  };
  for (uint64_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(WriteGrain(device.get(), i, 'a').ok());
    ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(i)).ok());
  }
  Close(device);
  EXPECT_TRUE(node.Stop().ok()) << "everything is durable, folded or not";
  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(again.Read("v", i * kSubGrain, 2), "aa");
  EXPECT_TRUE(next.Stop().ok());
}

}  // namespace
}  // namespace atl
