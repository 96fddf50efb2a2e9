// SPDX-License-Identifier: Apache-2.0
//
// How headers change in the life of a resource: pure functions, and the two steps that are taken
// both by the operation itself and by whoever finds it unfinished.
#pragma once

#include "peers/client/atoll.h"
#include "peers/mapper/header_store.h"

namespace atl {

// A new, empty volume.
Header NewVolume(const CreateSpec& spec, const Uuid& store, int64_t now_ns);
// A clone of `snapshot`, pending until the snapshot has been seen again. kInvalid if it is smaller.
Result<Header> NewClone(const CreateSpec& spec, const Header& snapshot, const Uuid& store,
                        int64_t now_ns);
// The header of the snapshot that `volume`'s pending operation has decided.
Header NewSnapshot(const Header& volume, const PendingOperation& pending);

// Puts that header if there is none. kExists if a tombstone or another resource stands there.
Task<Status> PutSnapshotHeader(Store* store, Header volume, PendingOperation pending);

// The volume becomes what `pending` says.
Status ApplyRollback(const PendingOperation& pending, Header* volume);

ResourceInfo Describe(const Header& header, const std::string& store_name);

}  // namespace atl
