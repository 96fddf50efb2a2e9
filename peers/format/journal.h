// SPDX-License-Identifier: Apache-2.0
//
// The journal (owner, epoch, generation): map changes since the root, as batches appended to a log.
// An entry says only "range -> own | zero", own being the blob (owner, epoch) of the journal, so
// nothing in it can mean another blob later. Each batch carries its position, the checksum of the
// one before (the first: of the journal's name) and where it was written from, so a batch of
// another journal, another place or another life is never taken for one of this.
//
// Pure: bytes in, bytes and decisions out. Format: docs/FORMAT.md, "Journal".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "peers/store/ids.h"
#include "peers/store/store.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kJournalBatchHeader = 64;
inline constexpr size_t kJournalEntryBytes = 16;
inline constexpr uint64_t kJournalCapacity = 16 * kMiB;
// The end of the capacity is kept for barriers.
inline constexpr uint64_t kJournalBarrierReserve = 64 * kKiB;
inline constexpr size_t kMaxBatchEntries = 4096;

enum class JournalChange : uint8_t { kOwn = 1, kZero = 2 };

struct JournalEntry {
  uint64_t first = 0;  // In sub-grains; below 2^38.
  uint64_t count = 0;  // Never 0; first + count is at most 2^38.
  JournalChange change = JournalChange::kOwn;
  friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

// Makes the batches of one journal, in order.
class JournalWriter {
 public:
  // Begins a journal, at position 0. None is ever continued by another writer: after any end of
  // its writer a journal is read, pinned, and the next generation begun.
  JournalWriter(const LogId& log, const CacheIdentity& cache);

  // The bytes to append at `position()`; then Advance. A batch that could not be appended is
  // repeated byte for byte by its caller, or the journal is given up.
  Bytes MakeEntries(std::span<const JournalEntry> entries) const;
  // Everything before `covered` is durable, with the data that it speaks of.
  Bytes MakeBarrier(uint64_t covered) const;
  void Advance(ConstSpan appended);
  // A sync of the journal that began when `position` was its end has completed. Later batches
  // carry it, so that a hole before it is known as damage and not taken for the end.
  void NoteSynced(uint64_t position);

  uint64_t position() const { return position_; }

 private:
  Bytes Make(uint8_t kind, uint64_t covered, std::span<const JournalEntry> entries) const;

  CacheIdentity cache_;
  uint64_t position_ = 0;
  uint64_t synced_ = 0;
  uint32_t seed_;
  uint32_t chain_;
};

// What a journal's bytes say. Reading ends at the first thing that is not the next batch.
struct JournalContent {
  std::vector<JournalEntry> entries;  // Those that count, in order.
  uint64_t length = 0;                // Up to which they count: the end of a batch.
  uint64_t batches = 0;               // Those before `length`, barriers too.
  uint64_t barrier_covered = 0;       // The furthest position named by a believed barrier.
  uint64_t valid_length = 0;          // The end of the last well-formed batch.
  // Recovery only. Why reading ended before the bytes did; ok otherwise. Zeros or a torn batch are
  // nothing unusual; kUnsupported, a newer program's batch, must not be built on.
  Status stopped;
  // Recovery only. Reading ended where a later batch says that the journal had been durable: the
  // medium lost flushed changes. Not to be opened for writing as if nothing had happened.
  bool damaged = false;
};

// Reads a journal whose length is pinned in a header: exactly `length` bytes must be well-formed
// batches, else kCorrupt.
Result<JournalContent> ReadPinnedJournal(const LogId& log, ConstSpan bytes, uint64_t length);
// Reads a journal after an unclean end. Batches count up to the position named by the last barrier;
// those behind it count too if `durable_at_ack`, or as long as `cache` proves that they are still
// what was written. Sync journal and blob before `length` is pinned. `bytes` is the whole log, with
// whatever stands behind the last batch.
JournalContent RecoverJournal(const LogId& log, ConstSpan bytes, const CacheIdentity& cache,
                              bool durable_at_ack);

}  // namespace atl
