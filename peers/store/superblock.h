// SPDX-License-Identifier: Apache-2.0
//
// The record that makes a place a store: who it is, what wrote it, and which stores' headers may
// name its blobs (so that garbage collection knows which headers it must have seen).
// docs/FORMAT.md, "Superblock". Pure.
#pragma once

#include <string>
#include <vector>

#include "peers/store/store.h"

namespace atl {

inline constexpr size_t kMaxHeaderStores = 1'024;

struct Superblock {
  Uuid store;
  std::string driver;
  int64_t created_ns = 0;  // Since 1970 UTC; for people.
  // Stores whose headers may name blobs of this one, itself included.
  std::vector<Uuid> header_stores;
};

RecordKey SuperblockKey();
Bytes EncodeSuperblock(const Superblock& superblock);
// kCorrupt for bytes that no program wrote, kUnsupported for those of a newer one.
Result<Superblock> DecodeSuperblock(ConstSpan bytes);

}  // namespace atl
