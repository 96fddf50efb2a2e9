// SPDX-License-Identifier: Apache-2.0
//
// A check of one resource, or of everything in all stores: records decode and are under their keys,
// names and headers agree, locks are of the living, and everything that a header names is there and
// as it must be (check_map.h). Changes nothing; what may be repaired is left to its caller.
//
// Beside running changes it reports nothing that is not so: what was found wrong in a resource
// counts only if the resource's header is the same afterwards, since nothing that an unchanged
// header names is ever removed or changed; and what was found wrong in a record, only if it has the
// same version then. Else it is looked at again.
//
// Threads: one executor thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "peers/client/check_report.h"
#include "peers/format/records.h"
#include "peers/volumes/check_map.h"
#include "peers/volumes/lease.h"
#include "peers/volumes/names.h"

namespace atl {

class Checker {
 public:
  // All outlive it.
  Checker(Env* env, StoreSet* stores, NodeIdentity identity, Pace* pace)
      : env_(env),
        stores_(stores),
        identity_(std::move(identity)),
        pace_(pace),
        maps_(stores, pace) {}

  Task<void> CheckAll();
  Task<void> CheckOne(StoreSlot slot, Uuid uuid);
  // Besides the resources.
  Task<void> CountGarbage();

  // What was found, in the order in which it was; see Report.
  std::vector<Found>& found() { return found_; }
  bool has_errors() const;
  // The counts, and the first findings.
  CheckReport Report() const;
  GarbageCount& garbage() { return garbage_; }
  void Add(Findings findings);

 private:
  struct SeenHeader {
    StoreSlot slot = 0;
    bool live = false;
  };
  struct SeenName {
    RecordKey key;
    uint64_t version = 0;
    Uuid uuid;
  };

  // checker.cc: resources.
  Task<void> CheckResource(StoreSlot slot, Uuid uuid);
  Task<void> CheckHeader(StoreSlot slot, Header header, Findings* findings);
  Task<void> CheckName(StoreSlot slot, Header header, Findings* findings);
  Task<void> CheckParent(StoreSlot slot, Header header, Findings* findings);
  Task<void> CheckPending(StoreSlot slot, Header header, Findings* findings);

  // check_records.cc: what belongs to a store.
  Task<void> CheckSuperblock(StoreSlot slot);
  Task<void> ReadNames(StoreSlot slot);
  Task<void> ReadHeaders(StoreSlot slot);
  Task<void> CheckNames();
  Task<void> CheckNameRecord(SeenName name);
  Task<void> CheckLocks(StoreSlot slot);
  Task<void> CheckLock(StoreSlot slot, Uuid uuid);
  Task<void> CheckHolders(StoreSlot slot, LockRecord lock, Findings* findings);
  Task<void> CheckLeases(StoreSlot slot);
  Task<void> CheckOwners(StoreSlot slot);
  // Every key of a kind; what keeps it from being listed is an error of the store.
  Task<std::vector<RecordKey>> Keys(StoreSlot slot, RecordKind kind);

  Findings Of(StoreSlot slot, const Uuid& uuid) const;
  Findings OfStore(StoreSlot slot) const;
  std::string NameOf(const Uuid& uuid) const;

  Env* env_;
  StoreSet* stores_;
  NodeIdentity identity_;
  Pace* pace_;
  MapChecker maps_;
  std::vector<Found> found_;
  uint64_t resources_ = 0;
  uint64_t records_ = 0;
  GarbageCount garbage_;
  std::map<Uuid, SeenHeader> headers_;
  std::map<Uuid, std::string> labels_;  // What resources are called, by their name records.
  std::vector<SeenName> names_;
  std::set<Uuid> lost_;     // Reported already.
  std::set<Uuid> pending_;  // Of snapshots that were decided and may have no header yet.
};

}  // namespace atl
