// SPDX-License-Identifier: Apache-2.0
//
// The blob that a volume's writes go to, seen from outside: whether it is there. It is made when it
// is first adopted, so that an absent one may be new; or lost. Adopting and sealing make what is
// absent, and an empty blob in place of a lost one would read as zeros: ask here before.
#pragma once

#include "peers/format/header.h"
#include "peers/store/store_set.h"

namespace atl {

// The whole of a log, up to `limit` bytes; fewer only at its end.
Task<Result<Bytes>> ReadWholeLog(Store* store, LogId log, uint64_t limit);

// True if the map reads from the volume's current blob and `store` does not have it.
Task<Result<bool>> IsCurrentBlobLost(StoreSet* stores, Store* store, Header header);

// kCorrupt, naming volume, blob and store.
Status LostBlob(const Store& store, const Header& header);

}  // namespace atl
