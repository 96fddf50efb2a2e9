// SPDX-License-Identifier: Apache-2.0
//
// Journals as they are read: whole, in large pieces.
#pragma once

#include "peers/store/store.h"

namespace atl {

// The whole of a log, up to `limit` bytes.
Task<Result<Bytes>> ReadWholeLog(Store* store, LogId log, uint64_t limit);

}  // namespace atl
