// SPDX-License-Identifier: Apache-2.0
//
// Whether all that a header names is there and as it must be: the root, every node of the tree, the
// counts of the source table, the journals of the replay list, blobs, and for a volume the current
// journal as far as it is believed.
//
// What many maps share is looked at once; only what was found to be right is remembered.
//
// Threads: one executor thread.
#pragma once

#include <cstdint>
#include <set>
#include <utility>

#include "peers/format/header.h"
#include "peers/map/root.h"
#include "peers/store/store_set.h"
#include "peers/volumes/findings.h"
#include "peers/volumes/pace.h"

namespace atl {

class MapChecker {
 public:
  // All outlive it.
  MapChecker(StoreSet* stores, Pace* pace) : stores_(stores), pace_(pace) {}

  // `home` is where the header is.
  Task<void> Check(StoreSlot home, Header header, Findings* findings);

  struct Totals {
    uint64_t nodes = 0;
    uint64_t journals = 0;
    uint64_t blobs = 0;
  };
  const Totals& totals() const { return totals_; }

 private:
  // Whose map it is, and what may be done about its counts.
  struct Owner {
    const Header* header = nullptr;
    Repair recount;
    uint64_t blob_bytes = 0;  // How far its blobs reach.
  };
  Task<void> CheckState(Owner owner, const MapState& map, Findings* findings);
  Task<void> CheckRoot(Owner owner, RootPointer pointer, Findings* findings);
  static void CheckCounts(Owner owner, const Root& root, const std::vector<uint64_t>& counts,
                          Findings* findings);
  Task<void> CheckSources(Owner owner, const Root& root, Findings* findings);
  Task<void> CheckReplay(Owner owner, ReplayJournal journal, Findings* findings);
  Task<void> CheckBlob(const Uuid& store, BlobId blob, uint64_t bytes, Findings* findings);
  Task<void> CheckLog(const Uuid& store, LogId log, Findings* findings);
  Task<void> CheckCurrent(Owner owner, StoreSlot home, Findings* findings);
  Task<Status> CheckCurrentJournal(Store* store, LogId log);

  StoreSet* stores_;
  Pace* pace_;
  Totals totals_;
  std::set<std::pair<LogId, uint64_t>> roots_;     // By place.
  std::set<std::pair<LogId, uint64_t>> journals_;  // By length.
  std::set<std::pair<BlobId, uint64_t>> blobs_;    // By how far they were looked at.
  std::set<LogId> logs_;
};

}  // namespace atl
