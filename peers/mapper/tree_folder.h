// SPDX-License-Identifier: Apache-2.0
//
// Folds changes into a map tree: new nodes along the changed paths, appended to the map's current
// node blob; everything else is shared with the old tree. Counts what every source gains and loses,
// exactly, walking what a large change cuts off.
//
// Runs in the background and yields often. Nothing that it writes is named by anybody until its
// root is published, so it may be given up at any point.
#pragma once

#include <cstdint>
#include <utility>

#include "peers/map/interval_map.h"
#include "peers/mapper/map_tree.h"
#include "peers/mapper/source_table.h"
#include "peers/store/store.h"
#include "xseg/base/task.h"

namespace atl {

// Appends to one node blob, gathering nodes into large writes.
class NodeWriter {
 public:
  NodeWriter(Store* store, LogId log, SourceIndex index, uint64_t position)
      : store_(store), log_(log), index_(index), position_(position) {}

  NodePlace place() const { return {log_, position_ + out_.size()}; }
  NodePointer pointer() const { return NodePointer::Node(index_, place().offset); }
  SourceIndex index() const { return index_; }
  Encoder* out() { return &out_; }

  // Hands on what was gathered if it is much, or all of it. After one that fails the writer is
  // done.
  Task<Status> FlushIfLarge();
  Task<Status> Flush();
  // The end of what the store has: where the next writer goes on.
  uint64_t position() const { return position_; }
  // Bytes that the store may have there already, since their append has failed. The next writer
  // begins with them: what was put once is never replaced by something else.
  Bytes TakeDoubtful() { return std::move(doubtful_); }

 private:
  Store* store_;
  LogId log_;
  SourceIndex index_;
  uint64_t position_;
  Encoder out_;
  Bytes doubtful_;
};

class TreeFolder {
 public:
  // All outlive the folder; `changes` and the tree's top do not change meanwhile.
  TreeFolder(MapTree* tree, const IntervalMap* changes, NodeWriter* writer)
      : tree_(tree), changes_(changes), writer_(writer), start_(writer->place().offset) {}

  // Writes every node anew, not only those along the changed paths, so that no older node blob is
  // used any more.
  void RewriteAll() { rewrite_all_ = true; }

  // The top of the new tree. Its nodes may still be in the writer.
  Task<Result<NodePointer>> Fold();
  const SourceTable::CountChanges& counts() const { return counts_; }

 private:
  Task<Result<NodePointer>> FoldNode(NodePointer old, int level, uint64_t first);
  Task<Result<NodePointer>> FoldLeaf(NodePointer old, uint64_t first);
  bool IsNew(NodePointer node) const {
    return node.blob() == writer_->index() && node.offset() >= start_;
  }
  // Takes everything under `pointer` out of the counts.
  Task<Status> Retire(NodePointer pointer, int level, uint64_t first);
  Task<Status> Breathe();
  void Count(SourceIndex source, int64_t change);

  MapTree* tree_;
  const IntervalMap* changes_;
  NodeWriter* writer_;
  const uint64_t start_;  // What the writer puts from here on is of this fold.
  bool rewrite_all_ = false;
  SourceTable::CountChanges counts_;
  uint64_t steps_ = 0;
};

}  // namespace atl
