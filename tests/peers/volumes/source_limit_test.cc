// SPDX-License-Identifier: Apache-2.0
//
// S4: volumes at the limit of their source table. Each snapshot under which something was written
// is one more source of the volume's map, until nothing of it is left in there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "peers/mapper/volume_map.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

// A source for each sub-grain of the first part; behind it a neighbourhood for each of many lives.
constexpr uint64_t kPart = kMaxSources * kSubGrain;
constexpr uint64_t kLives = 4 * VolumeMap::kSourceMargin + 32;
constexpr uint64_t kSize = kPart + kLives * kMiB;

std::string Text(uint64_t number) {
  std::string text = "grain " + std::to_string(number);
  text.resize(kSubGrain, '.');
  return text;
}

class AttackS4Volume : public ::testing::Test {
 protected:
  // Snapshots s0, s1, ... of "v", a sub-grain written before each, until one is refused.
  void FillTable() {
    Hands hands = Start();
    ASSERT_TRUE(hands.Create("v", kSize).ok());
    Status refused;
    for (taken_ = 0; taken_ < kMaxSources; ++taken_) {
      ASSERT_NO_FATAL_FAILURE(Write(taken_, Text(taken_)));
      const auto made = hands.Snap("v", Snapshot(taken_));
      refused = made.status();
      if (!made.ok()) break;
    }
    EXPECT_EQ(refused.code(), Code::kLimit) << refused.ToString();
    EXPECT_THAT(std::string(refused.message()), HasSubstr("a map has at most 4096"));
    EXPECT_THAT(std::string(refused.message()), HasSubstr("export and import"));
    // What is kept free, and what was not folded into the root yet.
    constexpr uint64_t kFree = VolumeMap::kSourceMargin;
    EXPECT_GE(taken_, kMaxSources - kFree - 2);
    EXPECT_LE(taken_, kMaxSources - kFree + kMaxReplayJournals + 1);
  }
  Hands Start() {
    node_ = std::make_unique<MemoryNode>(&env_, &world_);
    return MyHands();
  }
  Hands MyHands() { return {&env_, &node_->atoll()}; }
  // Another life of the node.
  Hands Restart() {
    EXPECT_TRUE(node_->Stop().ok());
    return Start();
  }
  void Write(uint64_t grain, const std::string& text) {
    const Status status = MyHands().Write("v", grain * kSubGrain, text, true);
    ASSERT_TRUE(status.ok()) << status.ToString();
    if (grain * kSubGrain < kPart) expected_.replace(grain * kSubGrain, text.size(), text);
  }
  void CheckContent() { EXPECT_TRUE(MyHands().Read("v", 0, kPart) == expected_); }
  // Of the first so many lives.
  void CheckLives(uint64_t count) {
    for (uint64_t life = 0; life < count; ++life) {
      EXPECT_EQ(MyHands().Read("v", kPart + life * kMiB, kSubGrain), Text(life)) << life;
    }
  }
  // A snapshot has what was written before it, and zeros behind.
  void CheckSnapshot(uint64_t number) {
    const std::string text = MyHands().Read(Snapshot(number), number * kSubGrain, 2 * kSubGrain);
    EXPECT_EQ(text, Text(number) + std::string(kSubGrain, '\0'));
  }
  uint32_t Sources() {
    const auto info = env_.Run(node_->atoll().Show(Hands::Ref("v"), false));
    EXPECT_TRUE(info.ok()) << info.status().ToString();
    return info.ok() ? info->sources : 0;
  }
  static std::string Snapshot(uint64_t number) { return "s" + std::to_string(number); }
  void TearDown() override { EXPECT_TRUE(node_->Stop().ok()); }

  TestEnv env_;
  MemoryWorld world_;
  std::unique_ptr<MemoryNode> node_;
  uint64_t taken_ = 0;
  std::string expected_ = std::string(kPart, '\0');
};

TEST_F(AttackS4Volume, AtTheLimitOnlySnapshotsAreRefused) {
  ASSERT_NO_FATAL_FAILURE(FillTable());
  CheckContent();
  // Lives in each of which another neighbourhood is written to, so that each leaves nodes behind.
  for (uint64_t life = 0; life < kLives; ++life) {
    Hands hands = Restart();
    ASSERT_NO_FATAL_FAILURE(Write((kPart + life * kMiB) / kSubGrain, Text(life)));
    if (life % 64 == 0) EXPECT_EQ(hands.Snap("v", "more").code(), Code::kLimit);
  }
  CheckContent();
  CheckLives(kLives);
  CheckSnapshot(0);
  CheckSnapshot(taken_ - 1);

  Hands hands = Restart();
  EXPECT_TRUE(hands.Clone("c", Snapshot(taken_ - 1)).ok());
  EXPECT_TRUE(hands.Write("c", 0, "clone", true).ok());
  EXPECT_EQ(hands.Read("c", 0, 5), "clone");
  EXPECT_TRUE(hands.Collect().ok());
  CheckContent();
  ASSERT_TRUE(hands.Rollback("v", Snapshot(taken_ - 1)).ok());
  expected_.assign(kPart, '\0');
  for (uint64_t i = 0; i < taken_; ++i) expected_.replace(i * kSubGrain, kSubGrain, Text(i));
  CheckContent();
  ASSERT_NO_FATAL_FAILURE(Write(5, "written after the rollback"));
  CheckContent();
  for (const char* name : {"v", "c"}) EXPECT_TRUE(hands.Remove(name).ok());
  EXPECT_TRUE(hands.Collect().ok());
  CheckSnapshot(7);
  CheckSnapshot(taken_ - 1);
}

TEST_F(AttackS4Volume, SourcesComeBackByOverwritingAndNotByRemovingSnapshots) {
  ASSERT_NO_FATAL_FAILURE(FillTable());
  Hands hands = MyHands();
  const uint32_t before = Sources();
  for (uint64_t i = 0; i < taken_; ++i) ASSERT_TRUE(hands.Remove(Snapshot(i)).ok()) << i;
  ASSERT_TRUE(hands.Collect().ok());
  EXPECT_EQ(Sources(), before) << "the volume itself still reads from each of them";
  EXPECT_EQ(hands.Snap("v", "more").code(), Code::kLimit);
  CheckContent();

  ASSERT_NO_FATAL_FAILURE(Write(0, std::string(kPart, 'n')));
  const auto made = hands.Snap("v", "more");
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_LE(Sources(), 2u);
  ASSERT_TRUE(hands.Collect().ok());
  const auto blobs = env_.Run(node_->store().ListBlobs(std::nullopt, kMaxPage));
  ASSERT_TRUE(blobs.ok());
  const auto of_data = [](const BlobId& blob) { return !IsWriteLog(blob); };
  EXPECT_LE(std::ranges::count_if(blobs->items, of_data), 2)
      << "and the space comes back with them";
  CheckContent();
}

}  // namespace
}  // namespace atl
