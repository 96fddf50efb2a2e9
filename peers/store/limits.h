// SPDX-License-Identifier: Apache-2.0
//
// The checks that every driver makes first, so that all of them refuse the same calls with the same
// words. Pure functions.
#pragma once

#include "peers/store/store.h"

namespace atl {

// A read or a write of `length` bytes at `offset`: at most kMaxStoreIo, inside of 1 PiB.
Status CheckIo(const BlobId& blob, uint64_t offset, uint64_t length);
// A range of a blob of any length, inside of 1 PiB.
Status CheckRange(const BlobId& blob, ByteRange range);
// Bytes [position, position + length) of a log: at most kMaxStoreIo of them, inside of 1 TiB.
Status CheckLogIo(const LogId& log, uint64_t position, uint64_t length);
Status CheckLogLength(const LogId& log, uint64_t length);
Status CheckPage(uint32_t limit);
Status CheckRecordPayload(const RecordKey& key, ConstSpan payload, const Uuid& operation);
Status CheckChunk(const ChunkId& id, size_t length);

// A log is one file and is closed long before this.
inline constexpr uint64_t kMaxLogBytes = kTiB;

}  // namespace atl
