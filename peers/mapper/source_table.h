// SPDX-License-Identifier: Apache-2.0
//
// The source table of one open map in memory: what each index means, and exact counts as of the
// root. Indices are given in order and never twice in a lineage, so one that was seen in a node
// always means the same blob. Entries that no root names yet (the current epoch, the journals that
// are not folded) have indices here too; after a restart they may get others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "peers/map/root.h"
#include "peers/store/store_set.h"
#include "xseg/base/status.h"

namespace atl {

class SourceTable {
 public:
  struct Entry {
    Source source;
    StoreSlot slot = 0;
  };

  // Starts from a root; kUnavailable if it names a store that this node does not have.
  static Result<SourceTable> FromRoot(const Root& root, const StoreSet& stores);

  // Index of the blob or node blob, made if it is new. kLimit when no index is left.
  Result<SourceIndex> IndexOf(SourceType type, const Uuid& owner, uint32_t epoch, StoreSlot slot,
                              const StoreSet& stores);
  // Null if the index means nothing: a node named it that should not.
  const Entry* Find(SourceIndex index) const;

  // What a fold changed, to be applied when its root is published.
  using CountChanges = std::map<SourceIndex, int64_t>;
  // The table as a root to write: entries whose count is not zero after `changes`. kCorrupt if a
  // count would be negative or is of a source that is not here, kLimit above kMaxSources.
  Result<Root> ToRoot(const CountChanges& changes) const;
  // Of changes that ToRoot has taken.
  void Apply(const CountChanges& changes);

  // Entries with a count, as of the root.
  size_t live_count() const;
  uint32_t next_index() const { return static_cast<uint32_t>(entries_.size()); }

 private:
  struct Key {
    SourceType type;
    Uuid owner;
    uint32_t epoch;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // Index 0 is the zero source and stays empty.
  std::vector<std::optional<Entry>> entries_{1};
  std::map<Key, SourceIndex> by_key_;
};

}  // namespace atl
