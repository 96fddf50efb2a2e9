// SPDX-License-Identifier: Apache-2.0
//
// Chunks of a file store: chunks/<first 2 digits>/<64 digits>, written to a temporary, synced and
// then given their name, so that a chunk is whole or absent.
//
// All functions block; any thread, several at once.
#pragma once

#include <vector>

#include "peers/store/file/posix.h"
#include "peers/store/store.h"

namespace atl {

class ChunkDirs {
 public:
  static Result<ChunkDirs> Open(const Dir& root);

  // `data` is already a copy that nobody else can write, and has been checked against `id`.
  Status Put(const ChunkId& id, ConstSpan data) const;
  Result<Bytes> Get(const ChunkId& id) const;
  Status Remove(const ChunkId& id) const;
  Result<std::vector<ChunkId>> List() const;

 private:
  Dir chunks_;
  Dir tmp_;
};

}  // namespace atl
