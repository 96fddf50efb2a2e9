// SPDX-License-Identifier: Apache-2.0
//
// Lock records: which node may write a volume, which nodes read a snapshot, what is being removed.
// They are records and nothing else, so they are the same on every store; kernel locks serve only
// to prove that a holder is dead.
//
// Threads: one executor thread.
#pragma once

#include <string>

#include "peers/client/atoll.h"
#include "peers/format/records.h"
#include "peers/volumes/lease.h"

namespace atl {

class Locks {
 public:
  Locks(Env* env, const NodeIdentity* identity) : env_(env), identity_(identity) {}

  // Makes this incarnation the writer. A holder whose lease has ended is replaced; so is one that
  // is proven dead, `blob` being the volume's current one, which is then adopted. Otherwise kBusy,
  // naming the holder.
  Task<Status> AcquireWriter(Store* store, Uuid uuid, std::string name, BlobId blob);
  // Registers this incarnation as a reader of a snapshot.
  Task<Status> AcquireReader(Store* store, Uuid uuid, std::string name);
  // Undoes either; harmless if nothing is held.
  Task<Status> Release(Store* store, Uuid uuid);

  // Nobody may enter from now on; kBusy, naming who is in.
  Task<Status> MarkRemoving(Store* store, Uuid uuid, std::string name);
  // Takes that back.
  Task<Status> UnmarkRemoving(Store* store, Uuid uuid);

  // Frees a lock whose holder is dead or gone. With `force` also one whose holder runs, or may run:
  // `blob` and `journal` are then sealed against it; kUnsupported where the store cannot do that.
  Task<Status> Break(Store* store, Uuid uuid, std::string name, BlobId blob, LogId journal,
                     bool force);

  Task<Result<LockInfo>> Describe(Store* store, Uuid uuid);

 private:
  struct Versioned {
    LockRecord record;
    uint64_t version = 0;
  };
  Task<Result<Versioned>> Read(Store* store, Uuid uuid);
  Task<Status> Swap(Store* store, const Versioned& before, LockRecord next);
  // Ok if whoever `incarnation` was cannot write any more.
  Task<Status> CheckGone(Store* store, Uuid incarnation, std::string name, BlobId blob);
  Task<bool> IsLive(Store* store, Uuid incarnation);

  Env* env_;
  const NodeIdentity* identity_;
};

}  // namespace atl
