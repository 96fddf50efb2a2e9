// SPDX-License-Identifier: Apache-2.0
//
// Changes of a header that happen and answer with an error: what is decided stays decided, and
// nobody acts on what he does not know.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class LostAnswer : public Disturbed {
 protected:
  // The next header swap happens and says that it did not.
  static void LoseNextHeaderSwap(MemoryNode& node) {
    node.hooks().lose = [lost = false](const StoreCall& call) mutable -> Status {
      if (lost || !IsHeaderSwap(call)) return {};
      lost = true;
      return {Code::kIo, "the directory could not be synced"};
    };
  }
  // And from then on headers can be neither read nor changed.
  static void LoseHeaders(MemoryNode& node) {
    const auto lost = std::make_shared<bool>(false);
    node.hooks().lose = [lost](const StoreCall& call) -> Status {
      if (!IsHeaderSwap(call)) return {};
      *lost = true;
      return {Code::kIo, "the directory could not be synced"};
    };
    node.hooks().fail = [lost](const StoreCall& call) -> Status {
      if (!*lost || !IsOfHeader(call)) return {};
      return {Code::kUnavailable, "the store is away"};
    };
  }
  static void Mend(MemoryNode& node) {
    node.hooks().lose = nullptr;
    node.hooks().fail = nullptr;
  }
};

TEST_F(LostAnswer, ASnapshotWhoseSwapAnswersWithAnErrorIsMadeAllTheSame) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  LoseNextHeaderSwap(node);
  const auto snap = hands.Snap("v", "s");
  EXPECT_TRUE(snap.ok()) << snap.status().ToString();
  Mend(node);
  EXPECT_TRUE(WriteGrain(device.get(), 0, 'b').ok());
  EXPECT_TRUE(WriteGrain(device.get(), 1, 'b').ok());
  EXPECT_TRUE(env_.Run(device->Flush()).ok());
  Close(device);
  EXPECT_TRUE(node.Stop().ok());

  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  EXPECT_EQ(again.Read("v", 0, 4), "bbbb");
  EXPECT_EQ(again.Read("v", kSubGrain, 4), "bbbb") << "it was flushed";
  EXPECT_EQ(again.Read("s", 0, 4), "aaaa");
  EXPECT_TRUE(next.Stop().ok());
}

TEST_F(LostAnswer, AVolumeThatCannotKnowWhetherItWasPinnedAcknowledgesNothingMore) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
  LoseHeaders(node);
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  EXPECT_TRUE(ComposerOf(node).failure_unrecorded());
  Mend(node);
  EXPECT_EQ(WriteGrain(device.get(), 0, 'b').code(), Code::kReadOnly) << "that blob is frozen";
  EXPECT_EQ(WriteGrain(device.get(), 1, 'b').code(), Code::kReadOnly) << "that journal is pinned";
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
  Close(device);
  (void)node.Stop();

  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  EXPECT_EQ(again.Read("v", 0, 4), "aaaa");
  ASSERT_TRUE(env_.Run(next.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_TRUE(again.Write("v", 0, "bbbb", true).ok());
  EXPECT_EQ(again.Read("v", 0, 4), "bbbb");
  EXPECT_TRUE(next.Stop().ok());
}

// Whoever opens the volume next finishes it, and then it must have its name: without one it would
// be listed, and nobody could read or remove it.
TEST_F(LostAnswer, ASnapshotOfWhichNobodyKnowsWhetherItWasMadeKeepsItsName) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "aaaa").ok());
  LoseHeaders(node);
  EXPECT_FALSE(hands.Snap("v", "s").ok());
  node.Kill();

  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  EXPECT_EQ(again.Read("v", 0, 4), "aaaa");
  const auto listed = env_.Run(next.atoll().List({.kind = ResourceKind::kSnapshot}));
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->items.size(), 1u);
  EXPECT_EQ(listed->items[0].name, "s");
  EXPECT_EQ(again.Read("s", 0, 4), "aaaa");
  EXPECT_TRUE(env_.Run(next.atoll().Remove(Hands::Ref("s"))).ok());
  EXPECT_TRUE(next.Stop().ok());
}

// The store refuses the change before it happens: that is no reason to close the volume.
TEST_F(LostAnswer, APinThatTheStoreRefusesLeavesTheVolumeWritable) {
  for (const Code code : {Code::kNoSpace, Code::kIo, Code::kPermission}) {
    SCOPED_TRACE(RowOf(code).name);
    MemoryWorld world;
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    ASSERT_TRUE(hands.Create("v", kMiB).ok());
    auto device = hands.Open("v");
    ASSERT_TRUE(WriteGrain(device.get(), 0, 'a').ok());
    node.hooks().fail = [code](const StoreCall& call) -> Status {
      return IsHeaderSwap(call) ? Status(code, "as told") : OkStatus();
    };
    EXPECT_EQ(hands.Snap("v", "s").code(), code);
    Mend(node);
    EXPECT_TRUE(WriteGrain(device.get(), 1, 'b').ok());
    EXPECT_TRUE(hands.Snap("v", "s").ok()) << "the name is free";
    Close(device);
    EXPECT_EQ(hands.Read("s", kSubGrain, 1), "b");
    EXPECT_TRUE(node.Stop().ok());
  }
}

class LostFold : public LostAnswer, public ::testing::WithParamInterface<bool> {
 protected:
  // The header swap that publishes a fold is the one that names a root.
  static void LoseFold(MemoryNode& node, Uuid volume, bool blind) {
    const auto lost = std::make_shared<bool>(false);
    node.hooks().lose = [volume, lost](const StoreCall& call) -> Status {
      if (*lost || !IsHeaderSwap(call)) return {};
      const auto header = DecodeHeader(call.data, volume);
      if (!header.ok() || header->map.root.absent()) return {};
      *lost = true;
      return {Code::kIo, "the directory could not be synced"};
    };
    node.hooks().fail = [lost, blind, left = 1](const StoreCall& call) mutable -> Status {
      if (!blind || !*lost || left == 0 || !IsOfHeader(call)) return {};
      --left;
      return {Code::kUnavailable, "the store is away"};
    };
  }
};

TEST_P(LostFold, FoldsGoOnAfterOneThatLandedAndAnsweredWithAnError) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  auto device = hands.Open("v");
  LoseFold(node, made->uuid, GetParam());
  for (int i = 0; i < 24; ++i) {
    ASSERT_TRUE(
        WriteGrain(device.get(), static_cast<uint64_t>(i), static_cast<char>('a' + i)).ok());
    const auto snap = hands.Snap("v", "s" + std::to_string(i));
    ASSERT_TRUE(snap.ok()) << i << ": " << snap.status().ToString();
    LetRun();
  }
  const auto header = env_.Run(ReadHeader(&node.stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok());
  EXPECT_LE(header->header.map.replay.size(), 4u);
  Close(device);
  EXPECT_TRUE(node.Stop().ok());

  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  for (uint64_t i = 0; i < 24; ++i) {
    EXPECT_EQ(again.Read("v", i * kSubGrain, 2), std::string(2, static_cast<char>('a' + i)));
  }
  EXPECT_TRUE(next.Stop().ok());
}
INSTANTIATE_TEST_SUITE_P(, LostFold, ::testing::Bool(), [](const auto& info) {
  return info.param ? "AndCouldNotBeReadAgain" : "AndWasReadAgain";
});

}  // namespace
}  // namespace atl
