// SPDX-License-Identifier: Apache-2.0
//
// Garbage collection: what no header names goes. Online, beside everything else, on any number of
// nodes at once, and it may be stopped anywhere, for names are never used twice.
//
//   1. list blobs, logs and locks             (what is made later is no candidate)
//   2. read all headers, again and again, until two passes saw the same ones with the same `refs`
//   3. is the header of anything missing? Then nothing is removed (lost.h)
//   4. what neither of the two passes names goes; of a removed resource its tombstone last
//
// One pass is not enough: a listing is not atomic, and a map may be cloned past it while the
// original is removed. A header names a blob before its first byte is written, and `refs` counts
// every other gain of a name, so between two equal passes nothing was gained unseen. An unreadable
// header or a store that cannot be reached stops it: never "there is no header".
//
// Threads: one executor thread.
#pragma once

#include <map>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/volumes/lease.h"
#include "peers/volumes/reach.h"

namespace atl {

class GarbageCollector {
 public:
  GarbageCollector(Env* env, StoreSet* stores, NodeIdentity identity)
      : env_(env), stores_(stores), identity_(std::move(identity)) {}

  Task<Result<GcReport>> Run(bool dry_run);

 private:
  struct Seen {
    HeaderState state;
    uint64_t refs;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  struct Named {
    Uuid uuid;
    StoreSlot slot = 0;
  };
  struct Pass {
    std::map<Uuid, Seen> headers;
    std::map<Uuid, uint64_t> tombstones;    // uuid -> version
    std::set<Uuid> pending;                 // Named by pending operations.
    std::multimap<RecordKey, Named> names;  // What live headers are called.
    Reach reach;
  };
  // A record as it was judged: it is removed only if it has not changed since.
  struct JudgedRecord {
    RecordKey key;
    uint64_t version = 0;
  };
  struct Candidates {
    std::vector<BlobId> blobs;
    std::vector<LogId> logs;
    std::vector<JudgedRecord> locks;
  };

  Task<Result<Pass>> ReadPass();
  Task<Result<Candidates>> ListCandidates(Store* store);
  Task<Status> RemoveUnnamed(Store* store, const Candidates& candidates, const Reach& keep);
  // kCorrupt if a header is missing.
  Task<Status> CheckHeaders(const std::vector<Candidates>& candidates, const Pass& pass);
  Task<Status> WithdrawLosers(const Pass& pass);
  Task<Status> RemoveNames(Store* store, const Pass& pass);
  Task<Status> RemoveLocks(Store* store, const Candidates& candidates, const Pass& pass);
  Task<Status> RemoveTombstones(Store* store, const Candidates& candidates, const Pass& pass);
  static Candidates LeftOf(const Candidates& candidates, const Reach& keep);
  Task<Status> RemoveLeases(Store* store);
  Task<Status> RemoveRecord(Store* store, JudgedRecord record);
  void Note(std::string item);

  Env* env_;
  StoreSet* stores_;
  NodeIdentity identity_;
  bool dry_run_ = false;
  GcReport report_;
};

}  // namespace atl
