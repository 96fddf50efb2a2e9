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

// Every key of a kind.
Task<Result<std::vector<RecordKey>>> AllKeys(Store* store, RecordKind kind);

struct Reach {
  std::set<BlobId> blobs;
  std::set<LogId> logs;
  // Volumes: what is behind their current epoch or generation is prepared for what comes next.
  struct Current {
    uint32_t epoch = 0;
    uint32_t generation = 0;
  };
  std::map<Uuid, Current> volumes;
  std::set<std::pair<LogId, uint64_t>> roots;  // Those that are in it: many maps share one.
  void Add(const Reach& other);
  bool Keeps(const BlobId& blob) const;
  bool Keeps(const LogId& log) const;
};

// Adds everything that a live header names: its current blob, journal and node blob, its map and
// that of its pending operation. A tombstone names nothing.
Task<Status> AddReachOf(StoreSet* stores, Header header, Reach* reach);
// The sources from which the map reads data, the current blob and replayed journals included.
Task<Result<std::vector<Source>>> SourcesOf(StoreSet* stores, Header header);

}  // namespace atl
