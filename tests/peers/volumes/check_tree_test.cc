// SPDX-License-Identifier: Apache-2.0
//
// The walk over a tree finds nodes that make no sense together, though each has a right checksum;
// and counts what the leaves say.
#include "peers/volumes/check_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peers/mapper/tree_folder.h"
#include "peers/store/memory/memory_store.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class CheckTree : public ::testing::Test {
 protected:
  static constexpr SourceIndex kBlob = 1;
  static constexpr SourceIndex kNodes = 2;

  CheckTree() {
    EXPECT_TRUE(env_.Run(store().AdoptLog(log_, 0)).ok());
    const Uuid store_uuid = store().info().uuid;
    root_.next_index = 3;
    root_.sources[kBlob] = {.owner = owner_, .epoch = 1, .store = store_uuid};
    root_.sources[kNodes] = {
        .type = SourceType::kNodes, .owner = owner_, .epoch = 1, .store = store_uuid};
  }
  bool AddStore() {
    stores_.Add(std::make_unique<MemoryStore>(env_));
    return true;
  }
  Store& store() { return stores_.at(0); }

  NodePointer Put(const Leaf& leaf, uint64_t first) {
    const NodePointer pointer = writer_.pointer();
    EncodeLeaf(leaf, first, writer_.place(), writer_.out());
    return pointer;
  }
  NodePointer Put(const Inner& inner, int level) {
    const NodePointer pointer = writer_.pointer();
    EncodeInner(inner, level, 0, writer_.place(), writer_.out());
    return pointer;
  }
  // Ends the chain of first children above `node`, and walks it.
  void WalkUnder(NodePointer node, int level) {
    while (++level <= kTopLevel) {
      Inner inner;
      inner.children[0] = node;
      node = Put(inner, level);
    }
    ASSERT_TRUE(env_.Run(writer_.Flush()).ok());
    root_.top = node;
    walk_ = std::make_unique<TreeWalk>(&stores_, &root_, &pace_);
    env_.Run([](TreeWalk* walk) -> Task<int> {
      co_await walk->Run();
      co_return 0;
    }(walk_.get()));
  }
  static Leaf SomeLeaf(SourceIndex source) {
    Leaf leaf;
    leaf.sources[1] = source;
    return leaf;
  }
  void ExpectProblem(const std::string& text) {
    ASSERT_EQ(walk_->problems().size(), 1u);
    EXPECT_THAT(walk_->problems()[0], HasSubstr(text));
  }

  TestEnv env_;
  Pace pace_{&env_};
  StoreSet stores_;
  const bool has_store_ = AddStore();  // Before the writer, which writes to it.
  const Uuid owner_ = env_.NewUuid();
  const LogId log_ = LogId::Nodes(owner_, 1);
  Root root_;
  NodeWriter writer_{&store(), log_, kNodes, 0};
  std::unique_ptr<TreeWalk> walk_;
};

TEST_F(CheckTree, CountsWhatTheLeavesAndUniformChildrenSay) {
  Inner inner;
  inner.children[0] = Put(SomeLeaf(kBlob), 0);
  inner.children[3] = NodePointer::Uniform(kBlob);
  WalkUnder(Put(inner, 1), 1);
  EXPECT_TRUE(walk_->problems().empty());
  EXPECT_EQ(walk_->counts()[kBlob], 1 + kLeafGrains);
  EXPECT_EQ(walk_->counts()[kNodes], 6u);
  EXPECT_EQ(walk_->nodes(), 6u);
}

TEST_F(CheckTree, ALeafThatHangsInTwoPlacesIsFound) {
  Inner inner;
  inner.children[0] = inner.children[1] = Put(SomeLeaf(kBlob), 0);
  WalkUnder(Put(inner, 1), 1);
  ExpectProblem("it is of level 0 at 0, wanted is level 0 at 256");
}

TEST_F(CheckTree, ALeafThatHangsOnTwoLevelsIsFound) {
  const NodePointer leaf = Put(SomeLeaf(kBlob), 0);
  Inner low;
  low.children[0] = leaf;
  Inner high;
  high.children[0] = Put(low, 1);
  high.children[1] = leaf;
  WalkUnder(Put(high, 2), 2);
  EXPECT_EQ(walk_->problems().size(), 1u);
}

TEST_F(CheckTree, SourcesThatAreNotInTheTableOrAreNodeBlobsAreFound) {
  for (const SourceIndex source : {SourceIndex{777}, kNodes}) {
    WalkUnder(Put(SomeLeaf(source), 0), 0);
    ExpectProblem("names source " + std::to_string(source));
  }
}

TEST_F(CheckTree, ANodeInWhatIsNoNodeBlobIsFound) {
  WalkUnder(NodePointer::Node(kBlob, 0), 0);
  ExpectProblem("is no node blob");
}

TEST_F(CheckTree, WhatIsDamagedInOneSubtreeHidesNothingInTheOthers) {
  Inner inner;
  inner.children[0] = NodePointer::Node(kNodes, 1 << 20);
  inner.children[1] = Put(SomeLeaf(777), kLeafGrains);
  inner.children[2] = Put(SomeLeaf(kBlob), 2 * kLeafGrains);
  WalkUnder(Put(inner, 1), 1);
  EXPECT_EQ(walk_->problems().size(), 2u);
  EXPECT_EQ(walk_->counts()[kBlob], 1u);
}

// More nodes than there are windows for: with twenty sources a leaf takes its largest form.
TEST_F(CheckTree, ALargeTreeIsWalkedInWindows) {
  constexpr SourceIndex kFirst = 3, kCount = 20;
  constexpr uint64_t kInnerNodes = 160;
  for (SourceIndex i = kFirst; i < kFirst + kCount; ++i) {
    root_.sources[i] = {.owner = owner_, .epoch = i, .store = store().info().uuid};
  }
  root_.next_index = kFirst + kCount;
  std::vector<NodePointer> inner_nodes;
  for (uint64_t i = 0; i < kInnerNodes; ++i) {
    Inner low;
    const uint64_t first = i * SpanOf(1);
    for (uint64_t k = 0; k < kFanout; ++k) {
      Leaf leaf;
      for (size_t at = 0; at < kLeafGrains; ++at) {
        leaf.sources[at] = static_cast<SourceIndex>(kFirst + at % kCount);
      }
      low.children[k] = Put(leaf, first + k * kLeafGrains);
    }
    inner_nodes.push_back(writer_.pointer());
    EncodeInner(low, 1, first, writer_.place(), writer_.out());
  }
  // Level 2 nodes of 64 each, under one of level 3.
  Inner level3;
  for (uint64_t i = 0; i * kFanout < kInnerNodes; ++i) {
    Inner level2;
    for (uint64_t k = 0; k < kFanout && i * kFanout + k < kInnerNodes; ++k) {
      level2.children[k] = inner_nodes[i * kFanout + k];
    }
    level3.children[i] = writer_.pointer();
    EncodeInner(level2, 2, i * SpanOf(2), writer_.place(), writer_.out());
  }
  WalkUnder(Put(level3, 3), 3);
  EXPECT_TRUE(walk_->problems().empty()) << walk_->problems()[0];
  uint64_t grains = 0;
  for (SourceIndex i = kFirst; i < kFirst + kCount; ++i) grains += walk_->counts()[i];
  EXPECT_EQ(grains, kInnerNodes * kFanout * kLeafGrains);
  EXPECT_EQ(walk_->nodes(), kInnerNodes * kFanout + kInnerNodes + 3 + 1 + 2);
}

}  // namespace
}  // namespace atl
