// SPDX-License-Identifier: Apache-2.0
//
// Resources whose header record is gone. Nothing else says that the blobs of its uuid are wanted,
// so a small accident (one folder, one record) would make a whole volume garbage. But a resource
// leaves other traces: a name record that points to it, a lock record once it was opened, blobs and
// logs of its uuid. Two of the three without any header are damage, for no legal history has them:
//
//   made:     name record, header, then lock record and blobs
//   removed:  header to `removed` (a tombstone); then garbage collection takes blobs and logs, name
//             and lock records, and the tombstone when nothing else is left
//
// One trace alone is legal: the name of a maker who died, the lock record of somebody who came when
// all was over, the blob of a dead holder's open that landed late.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "peers/format/records.h"
#include "peers/store/store_set.h"

namespace atl {

// Whether the store has a blob or a log of that owner.
Task<Result<bool>> OwnsAnything(Store* store, Uuid owner);

// Whether the header of `uuid`, which `store` should have, is missing though it must have been
// there. `name` is the key of the name record that points to it, if one is known. Traces are looked
// for after the header: who removes takes that last.
Task<Result<bool>> IsHeaderMissing(StoreSet* stores, Store* store, Uuid uuid,
                                   std::optional<RecordKey> name);

// What is said then: kCorrupt, with both ways out. `name` may be empty.
Status HeaderMissing(const Store& store, const Uuid& uuid, const std::string& name);
// Ok, or that of the header to which the record points.
Task<Status> CheckNotLost(StoreSet* stores, NameRecord record);

// The names of all lost resources. Those of `settled` are known to count and are not read.
Task<Result<std::vector<NameRecord>>> AllLost(StoreSet* stores, std::set<RecordKey> settled);

// A lost resource by its uuid; without a name if its name record is gone, too. kNotFound if it left
// no traces.
Task<Result<NameRecord>> FindLost(StoreSet* stores, Uuid uuid);

}  // namespace atl
