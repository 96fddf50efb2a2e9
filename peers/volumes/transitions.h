// SPDX-License-Identifier: Apache-2.0
//
// How headers change in the life of a resource: pure functions, and the two steps that are taken
// both by the operation itself and by whoever finds it unfinished.
#pragma once

#include "peers/client/atoll.h"
#include "peers/mapper/header_store.h"
#include "peers/volumes/names.h"

namespace atl {

// A new, empty volume.
Header NewVolume(const CreateSpec& spec, const Uuid& store, int64_t now_ns);
// A clone of `snapshot`, pending until the snapshot has been seen again. kInvalid if it is smaller.
Result<Header> NewClone(const CreateSpec& spec, const Header& snapshot, const Uuid& store,
                        int64_t now_ns);
// The header of the snapshot that `volume`'s pending operation has decided.
Header NewSnapshot(const Header& volume, const PendingOperation& pending);

// Puts that header if there is none. kExists if a tombstone or another resource stands there, or if
// its name was taken over meanwhile: then it is withdrawn. Either way nothing is pending any more.
Task<Status> FinishSnapshot(Env* env, Names* names, Store* store, Header volume,
                            PendingOperation pending);

// To `removed`.
Task<Status> WithdrawHeader(Env* env, Store* store, VersionedHeader* header);

// Nobody has opened it yet, so that it holds nothing of its own.
bool IsUntouched(const Header& header);

// A clone counts only if its snapshot is still there after the clone's header is: then whoever
// collects garbage has seen one of the two. Clears its pending operation, if there still is one;
// kNotFound if the snapshot is gone: then the clone is removed.
Task<Status> SettleClone(Env* env, Store* store, VersionedHeader* clone);

// The volume becomes what `pending` says.
Status ApplyRollback(const PendingOperation& pending, Header* volume);

ResourceInfo Describe(const Header& header, const std::string& store_name);

}  // namespace atl
