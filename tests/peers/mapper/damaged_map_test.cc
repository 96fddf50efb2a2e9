// SPDX-License-Identifier: Apache-2.0
//
// Maps whose nodes have right checksums and make no sense together are corrupt; nobody crashes, and
// nothing is made up.
#include <gtest/gtest.h>

#include "peers/mapper/tree_folder.h"
#include "peers/store/memory/memory_store.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class DamagedMap : public ::testing::Test {
 protected:
  DamagedMap() {
    stores_.Add(std::make_unique<MemoryStore>(env_));
    EXPECT_TRUE(env_.Run(store().AdoptLog(log_, 0)).ok());
    blob_ = *table_.IndexOf(SourceType::kBlob, owner_, 1, 0, stores_);
    nodes_ = *table_.IndexOf(SourceType::kNodes, owner_, 1, 0, stores_);
    writer_ = std::make_unique<NodeWriter>(&store(), log_, nodes_, 0);
  }
  Store& store() { return stores_.at(0); }

  NodePointer Put(const Leaf& leaf, uint64_t first) {
    const NodePointer pointer = writer_->pointer();
    EncodeLeaf(leaf, first, writer_->place(), writer_->out());
    return pointer;
  }
  NodePointer Put(const Inner& inner, int level) {
    const NodePointer pointer = writer_->pointer();
    EncodeInner(inner, level, 0, writer_->place(), writer_->out());
    return pointer;
  }
  // Ends the chain of first children above `node`.
  void PutAbove(NodePointer node, int level) {
    while (++level <= kTopLevel) {
      Inner inner;
      inner.children[0] = node;
      node = Put(inner, level);
    }
    ASSERT_TRUE(env_.Run(writer_->Flush()).ok());
    tree_.SetTop(node);
  }
  Status Walk(GrainRange range) {
    std::vector<GrainRun> runs;
    MapTree::Missing missing;
    while (!tree_.Find(range, &runs, &missing)) {
      runs.clear();
      if (const Status loaded = env_.Run(tree_.Load(missing)); !loaded.ok()) return loaded;
    }
    return {};
  }
  Leaf SomeLeaf(SourceIndex source) {
    Leaf leaf;
    leaf.sources[1] = source;
    return leaf;
  }

  TestEnv env_;
  StoreSet stores_;
  SourceTable table_;
  MapTree tree_{&table_, &stores_};
  const Uuid owner_ = env_.NewUuid();
  const LogId log_ = LogId::Nodes(owner_, 1);
  SourceIndex blob_ = 0;
  SourceIndex nodes_ = 0;
  std::unique_ptr<NodeWriter> writer_;
};

TEST_F(DamagedMap, ALeafThatHangsInTwoPlacesIsCorrupt) {
  Inner inner;
  inner.children[0] = inner.children[1] = Put(SomeLeaf(blob_), 0);
  PutAbove(Put(inner, 1), 1);
  EXPECT_TRUE(Walk({0, kLeafGrains}).ok());
  EXPECT_EQ(Walk({kLeafGrains, 1}).code(), Code::kCorrupt);
}

TEST_F(DamagedMap, ALeafThatHangsOnTwoLevelsIsCorrupt) {
  const NodePointer leaf = Put(SomeLeaf(blob_), 0);
  Inner low;
  low.children[0] = leaf;
  Inner high;
  high.children[0] = Put(low, 1);
  high.children[1] = leaf;
  PutAbove(Put(high, 2), 2);
  EXPECT_TRUE(Walk({0, kLeafGrains}).ok());
  EXPECT_EQ(Walk({SpanOf(1), 1}).code(), Code::kCorrupt);
}

TEST_F(DamagedMap, AFoldOverALeafThatNamesAnUnknownSourceIsCorrupt) {
  constexpr SourceIndex kUnknown = 777;
  PutAbove(Put(SomeLeaf(kUnknown), 0), 0);
  IntervalMap changes;
  changes.Set({1, 1}, blob_);
  NodeWriter writer(&store(), log_, nodes_, writer_->position());
  TreeFolder folder(&tree_, &changes, &writer);
  const auto top = env_.Run(folder.Fold());
  ASSERT_TRUE(top.ok()) << top.status().ToString();
  EXPECT_EQ(table_.ToRoot(folder.counts()).status().code(), Code::kCorrupt);
}

TEST(SourceTableTest, CountsOfWhatIsNotInItMakeNoRoot) {
  const SourceTable table;
  EXPECT_EQ(table.ToRoot({{9, 1}}).status().code(), Code::kCorrupt);
  EXPECT_TRUE(table.ToRoot({}).ok());
}

}  // namespace
}  // namespace atl
