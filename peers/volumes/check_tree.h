// SPDX-License-Identifier: Apache-2.0
//
// A walk over all nodes of one map tree: each is read and checked (checksum, place, level,
// position), every source that it names must be in the root's table, and what the leaves say is
// counted.
//
// Nothing is kept but the nodes on the way and some windows of the logs, so a tree may be as large
// as it likes.
//
// Threads: one executor thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "peers/map/root.h"
#include "peers/store/store_set.h"
#include "peers/volumes/pace.h"

namespace atl {

class TreeWalk {
 public:
  // All outlive it.
  TreeWalk(StoreSet* stores, const Root* root, Pace* pace)
      : stores_(stores), root_(root), pace_(pace), counts_(root->next_index) {}

  Task<void> Run();

  // What is wrong, at most kMaxProblems of it: a subtree that cannot be read is left out.
  const std::vector<std::string>& problems() const { return problems_; }
  uint64_t nodes() const { return nodes_; }
  // By source index; of the whole tree, if nothing is wrong.
  const std::vector<uint64_t>& counts() const { return counts_; }

  static constexpr size_t kMaxProblems = 100;

 private:
  // A node in its subtree, where it must be.
  struct Spot {
    NodePointer pointer;
    int level = 0;
    uint64_t first = 0;
  };
  struct Place {
    StoreSlot slot = 0;
    NodePlace node;
  };
  Task<void> Visit(Spot spot);
  Task<void> VisitLeaf(Spot spot, Place place);
  Task<void> VisitInner(Spot spot, Place place);
  template <typename Node, typename Decode>
  Task<Result<Node>> Get(Place place, Decode decode);
  void Count(SourceIndex source, uint64_t grains);
  void Wrong(std::string problem);
  // The bytes of a node, in `out`; their number.
  Task<Result<size_t>> Read(Place place, MutSpan out);
  Task<Result<size_t>> ReadDirectly(Place place, MutSpan out);

  // Nodes that were written together are read together: windows of the logs, of which the oldest
  // goes when there are too many.
  static constexpr uint64_t kWindow = 64 * kKiB;
  static constexpr size_t kWindows = 64;
  using WindowKey = std::pair<LogId, uint64_t>;
  Task<Result<ConstSpan>> Window(Place place, uint64_t offset);

  StoreSet* stores_;
  const Root* root_;
  Pace* pace_;
  std::vector<uint64_t> counts_;
  std::vector<std::string> problems_;
  uint64_t nodes_ = 0;
  std::map<WindowKey, Bytes> windows_;
  std::vector<WindowKey> window_order_;
  size_t next_window_ = 0;
};

}  // namespace atl
