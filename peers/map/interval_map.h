// SPDX-License-Identifier: Apache-2.0
//
// Sub-grain -> source for the changes that are not folded into the tree yet: disjoint runs in
// order, neighbours of the same source joined. 16 bytes a run in a B-tree, so a million scattered
// changes take about 24 MiB.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <vector>

#include "peers/map/geometry.h"
#include "peers/map/node.h"

namespace atl {

struct GrainRun {
  GrainRange range;
  SourceIndex source = 0;
  friend bool operator==(const GrainRun&, const GrainRun&) = default;
};

class IntervalMap {
 public:
  // The range now comes from `source`, whatever it came from before.
  void Set(GrainRange range, SourceIndex source);
  void Erase(GrainRange range);
  void Clear() { runs_.clear(); }

  // The parts of `range` that are set, in order, cut to `range`, appended to `out`.
  void Find(GrainRange range, std::vector<GrainRun>* out) const;
  bool Overlaps(GrainRange range) const;
  // The first run that ends behind `grain`, not cut; false if there is none.
  bool FirstAfter(uint64_t grain, GrainRun* out) const;

  size_t run_count() const { return runs_.size(); }
  bool empty() const { return runs_.empty(); }
  size_t memory_bytes() const { return runs_.size() * 24; }

 private:
  // first -> end (48 bits) and source (16 bits).
  absl::btree_map<uint64_t, uint64_t> runs_;
};

}  // namespace atl
