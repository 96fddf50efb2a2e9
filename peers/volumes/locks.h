// SPDX-License-Identifier: Apache-2.0
//
// Lock records: which node may write a volume, which nodes read a snapshot, what is being removed.
// They are records and nothing else, so they are the same on every store; kernel locks serve only
// to prove that a holder is dead.
//
// Threads: one executor thread.
#pragma once

#include <optional>
#include <string>

#include "peers/client/atoll.h"
#include "peers/format/records.h"
#include "peers/mapper/header_store.h"
#include "peers/volumes/lease.h"

namespace atl {

class Locks {
 public:
  Locks(Env* env, const NodeIdentity* identity) : env_(env), identity_(identity) {}

  // Makes this incarnation the writer. A holder whose lease has ended is replaced; so is one that
  // is proven not to have the volume open. The proof is that the current blob can be adopted, and
  // it is good as long as the blob stays so: `taken` says which one the caller has to disown, after
  // it has opened the volume or has released the lock. Otherwise kBusy, naming the holder.
  Task<Status> AcquireWriter(Store* store, Uuid uuid, std::string name,
                             std::optional<BlobId>* taken);
  // Once the current blob is adopted and the header is of our generation: until then somebody could
  // prove that nobody has the volume open, and take the lock or free it. kBusy if it was taken.
  Task<Status> ConfirmWriter(Store* store, Uuid uuid, std::string name);
  // Registers this incarnation as a reader of a snapshot.
  Task<Status> AcquireReader(Store* store, Uuid uuid, std::string name);
  // Whether this incarnation has it yet, as writer or reader. kFenced if not, naming who has; after
  // any other error it is not known.
  Task<Status> CheckHeld(Store* store, Uuid uuid);
  // Undoes either; harmless if nothing is held.
  Task<Status> Release(Store* store, Uuid uuid);

  // Nobody may enter from now on; kBusy, naming who is in. It is not open here.
  Task<Status> MarkRemoving(Store* store, Uuid uuid, std::string name);

  // Frees a lock whose holder, readers or remover are dead or gone; the volume is not open here.
  // With `force` also one of those who run, or may run: what `header` names as current is then
  // sealed against a holder; kUnsupported where the store cannot do that.
  Task<Status> Break(Store* store, Header header, bool force);

  Task<Result<LockInfo>> Describe(Store* store, Uuid uuid);

 private:
  // kConflict if the lock was changed meanwhile.
  Task<Status> BreakOnce(Store* store, Header header, bool force);
  struct Versioned {
    LockRecord record;
    uint64_t version = 0;
  };
  Task<Result<Versioned>> Read(Store* store, Uuid uuid, ReadFor purpose = ReadFor::kAct);
  Task<Status> Swap(Store* store, const Versioned& before, LockRecord next);
  // Ok if whoever `incarnation` was cannot write any more. `adopted`: the proof, if one was needed.
  Task<Status> CheckGone(Store* store, Uuid incarnation, Uuid uuid, std::string name,
                         std::optional<BlobId>* adopted);
  // Ok, with the current blob adopted, if nobody has the volume open and nothing is in flight.
  // kBusy if somebody may have. `dead`: the holder's process is known to have ended. A blob that is
  // lost is not made anew: then the journal is the proof, and kCorrupt if that is lost, too.
  Task<Status> ProveGone(Store* store, Uuid uuid, bool dead, std::optional<BlobId>* adopted);
  // kBusy if a live incarnation other than `except` is in the lock.
  Task<Status> CheckNobodyIn(Store* store, LockRecord lock, std::string name, Uuid except);
  Task<bool> IsLive(Store* store, Uuid incarnation);
  Task<bool> IsBeingRemoved(Store* store, LockRecord lock);

  Env* env_;
  const NodeIdentity* identity_;
};

}  // namespace atl
