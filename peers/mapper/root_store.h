// SPDX-License-Identifier: Apache-2.0
//
// Roots as they lie in node blobs: the source table and the top of the tree that a header names.
#pragma once

#include "peers/format/header.h"
#include "peers/map/root.h"
#include "peers/store/store_set.h"

namespace atl {

// Reads and checks it; kCorrupt names the node blob. The root of an absent pointer is empty: all
// zeros, from no source.
Task<Result<Root>> ReadRoot(StoreSet* stores, RootPointer pointer);

}  // namespace atl
