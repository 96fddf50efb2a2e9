// SPDX-License-Identifier: Apache-2.0
//
// One batch of a journal as bytes. See docs/FORMAT.md, "Journal".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "peers/format/journal.h"

namespace atl {

inline constexpr uint32_t kBatchMagic = 0x424A5441;  // "ATJB"

enum class BatchKind : uint8_t { kEntries = 1, kBarrier = 2 };

struct BatchHeader {
  BatchKind kind = BatchKind::kEntries;
  uint64_t position = 0;  // Of the batch in the journal.
  uint32_t previous = 0;  // The checksum of the batch before.
  CacheIdentity cache;    // Where it was written from.
  uint64_t covered = 0;   // Of a barrier.
  uint64_t synced = 0;    // What the writer knew to be durable of the journal when it made this.
};

struct Batch {
  BatchHeader header;
  ConstSpan payload;
  uint32_t checksum = 0;
  size_t size() const { return kJournalBatchHeader + payload.size(); }
};

// An entry as bytes: two words.
bool IsPossible(const JournalEntry& entry);
void PutEntry(Encoder* out, const JournalEntry& entry);
JournalEntry GetEntry(Decoder* in);

// What takes the place of the checksum of the batch before the first, and seeds all of them.
uint32_t ChainSeed(const LogId& log);

Bytes EncodeBatch(uint32_t seed, const BatchHeader& header, std::span<const JournalEntry> entries);
// The batch that begins `bytes`, well-formed in itself and standing at `position`; whether it is
// the next of its chain is for the reader to see.
Result<Batch> DecodeBatch(uint32_t seed, ConstSpan bytes, uint64_t position);
// Fills in the checksum of a whole batch, as at the end of making one.
void ResealBatch(uint32_t seed, MutSpan batch);
// Appends the entries of a decoded batch.
void AppendEntries(const Batch& batch, std::vector<JournalEntry>* out);

}  // namespace atl
