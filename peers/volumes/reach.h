// SPDX-License-Identifier: Apache-2.0
//
// What headers reach: the blobs and logs that a map consists of. Garbage collection keeps what is
// reached; space is measured over it.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "peers/map/root.h"
#include "peers/mapper/header_store.h"
#include "peers/store/store_set.h"

namespace atl {

// Every header of a store, tombstones too. The first unreadable one is the error, unless `damaged`
// takes it.
Task<Result<std::vector<VersionedHeader>>> ReadAllHeaders(
    Store* store, ReadFor purpose, std::map<Uuid, Status>* damaged = nullptr);

struct Reach {
  std::set<BlobId> blobs;
  std::set<LogId> logs;
  void Add(const Reach& other);
};

// Everything that a live header names: its current blob, journal and node blob, its map and that of
// its pending operation. A tombstone names nothing.
Task<Result<Reach>> ReachOf(StoreSet* stores, Header header);
// The sources from which the map reads data, the current blob and replayed journals included.
Task<Result<std::vector<Source>>> SourcesOf(StoreSet* stores, Header header);

}  // namespace atl
