// SPDX-License-Identifier: Apache-2.0
//
// A node incarnation is one life of the process that holds volumes. It has one lease record in each
// store where it holds any, renewed every third of its term. While the lease is valid by our own
// clock, counted from before the renewal was sent and less a tenth, nobody may break our locks.
//
// Threads: one executor thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/format/records.h"
#include "peers/store/store_set.h"
#include "xseg/base/alarm.h"
#include "xseg/base/env.h"
#include "xseg/base/process.h"
#include "xseg/base/sync.h"

namespace atl {

struct NodeIdentity {
  Uuid incarnation;
  std::string node;             // "HOST:STATE", for people.
  std::string control_address;  // "unix:PATH".
  Uuid boot;
  ProcessId process;
  uint64_t pid_namespace = 0;
  int64_t lease_term_ns = 15 * kSecond;
};

// Says that the identity is of this process.
void IdentifyProcess(NodeIdentity* identity);

// Our lease in one store.
class LeaseKeeper {
 public:
  LeaseKeeper(Env* env, Store* store, const NodeIdentity* identity);
  ~LeaseKeeper();

  // Makes the record, if it is not there, and renews it from then on.
  Task<Status> Start();
  // Ends the lease: everything under it was released.
  Task<void> Stop();

  // kFenced once the term is over without a renewal. Cheap.
  Status Valid() const;

 private:
  Task<Status> Renew();
  // Of our record as it is in the store. kNotFound, or kFenced: others take us for dead.
  Task<Result<uint64_t>> FindVersion();
  Task<void> RenewLoop();

  Env* env_;
  Store* store_;
  const NodeIdentity* identity_;
  uint64_t version_ = 0;
  uint64_t renewals_ = 0;
  int64_t valid_until_ns_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  Mutex mutex_;
  Alarm alarm_;
  TaskGroup loop_;
};

// What the record of another incarnation says. kNotFound: it is gone, so nothing is held under it.
Task<Result<LeaseRecord>> ReadLease(Store* store, Uuid incarnation);
// Says for a predecessor, known to be dead, that its lease has ended.
Task<Status> EndLease(Env* env, Store* store, Uuid incarnation);

// Whether the incarnation has ended for certain: it said so, or its process is one that we could
// see and do not. A pid of another host or of another pid namespace proves nothing.
bool IsKnownDead(const LeaseRecord& lease, const NodeIdentity& identity);

Uuid ThisBoot();

}  // namespace atl
