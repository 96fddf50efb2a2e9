// SPDX-License-Identifier: Apache-2.0
//
// The folded part of a map: a persistent radix tree whose nodes are read on demand and cached.
//
// `Find` is pure over the cached nodes: it either answers or says which node it misses; `Load`
// fetches that one. So what is known costs no suspension.
//
// Threads: one executor thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "peers/map/interval_map.h"
#include "peers/map/node.h"
#include "peers/mapper/source_table.h"
#include "peers/store/store_set.h"
#include "xseg/base/task.h"

namespace atl {

class MapTree {
 public:
  // A node that is needed: where it hangs, and what it must be.
  struct Missing {
    NodePointer pointer;
    int level = 0;
    uint64_t first = 0;
  };

  // Nodes kept in memory for one map.
  static constexpr size_t kCachedNodes = 16384;

  // Both outlive the tree.
  MapTree(const SourceTable* sources, const StoreSet* stores)
      : sources_(sources), stores_(stores) {}

  void SetTop(NodePointer top) {
    top_ = top;
    fingers_.reset();
  }
  NodePointer top() const { return top_; }

  // Appends the runs of `range` to `out`, joined where neighbours agree. False: only those before
  // `*missing`, which has to be loaded to go on.
  bool Find(GrainRange range, std::vector<GrainRun>* out, Missing* missing) const;
  Task<Status> Load(Missing missing);

  // For folds: the decoded node, read if need be.
  Task<Result<Leaf>> GetLeaf(NodePointer pointer, uint64_t first);
  Task<Result<Inner>> GetInner(NodePointer pointer, int level, uint64_t first);

  size_t cached_nodes() const { return young_.size() + old_.size(); }

 private:
  struct Node {
    int level = 0;
    uint64_t first = 0;
    std::variant<Leaf, Inner> body;
  };
  using Cache = absl::flat_hash_map<uint64_t, std::unique_ptr<Node>>;

  // Valid until the next Load. Null also if it is another node than is looked for: Load finds out
  // what is wrong with it.
  const Node* Cached(NodePointer pointer, int level, uint64_t first) const;
  bool Walk(NodePointer pointer, int level, uint64_t first, GrainRange range,
            std::vector<GrainRun>* out, Missing* missing) const;

  // The leaf under `grain`, if it was walked to lately.
  const Leaf* Finger(uint64_t grain) const;
  void SetFinger(uint64_t first, const Leaf* leaf) const;

  // Where the last walk to some leaf of this tree has led, so that the next one need not start at
  // the top: a place for each leaf's number, modulo. They point into the cache, so they go when
  // nodes leave it.
  static constexpr size_t kFingers = 256;
  struct FingerPlace {
    uint64_t first = 0;
    const Leaf* leaf = nullptr;
  };
  using Fingers = std::array<FingerPlace, kFingers>;

  const SourceTable* sources_;
  const StoreSet* stores_;
  NodePointer top_;
  mutable std::unique_ptr<Fingers> fingers_;
  // Two generations: what is used moves to the young one while that has room; if it is full when a
  // node is loaded it becomes the old one.
  mutable Cache young_;
  mutable Cache old_;
};

// Appends a run, joining it to the last one if it goes on where that ends with the same source.
void AppendRun(GrainRun run, std::vector<GrainRun>* out);

}  // namespace atl
