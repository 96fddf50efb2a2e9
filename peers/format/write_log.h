// SPDX-License-Identifier: Apache-2.0
//
// The write log of a volume: what was flushed and may not have reached its place in the current
// blob yet. A flush of a few scattered writes appends them here, in one durable write, and is
// acknowledged. The blob, where they were written before, is synced later and for many flushes at
// once; always before it is frozen.
//
// The log is a blob that is written over and over: two halves, each a chain of records from its
// start, that take turns. A record is a page that says what changed, and the data. It is durable
// before the next one is made, and says from which record on the log counts: what stands before
// that is durable in the blob. Each opening of a volume has its own.
//
// Only after the cache was lost is it read: as long as that lives on, it has all writes.
//
// Pure: bytes in, bytes out. What counts of a log: write_log_reader.h. Format: docs/FORMAT.md,
// "Write log".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "peers/format/journal.h"
#include "peers/store/ids.h"
#include "peers/store/store.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/units.h"

namespace atl {

inline constexpr uint64_t kWriteLogPage = kSubGrain;
// Where the second half begins; no half is longer.
inline constexpr uint64_t kWriteLogHalf = 64 * kMiB;
inline constexpr size_t kMaxLoggedRuns = 250;
inline constexpr size_t kMaxLoggedZeros =
    16;  // Runs of zeros, so that a journal can take them all.
inline constexpr uint64_t kMaxLoggedGrains = 255;  // Of data in one record.
inline constexpr uint64_t kMaxWriteLogRecord = kWriteLogPage + kMaxLoggedGrains * kSubGrain;

// Of the checksums in a log.
uint32_t WriteLogSeed(const BlobId& log);

struct WriteLogRecord {
  uint64_t sequence = 0;   // From 1 on, each one more than the one before.
  uint64_t live_from = 0;  // The first one that counts; not above `sequence`.
  uint32_t opening = 0;    // Of the volume (Header::opening), not 0.
  uint32_t previous = 0;   // The checksum of the record before; of the first: 0.
  CacheIdentity cache;     // Where it was written from.
  // kOwn: the data follows, in order. kZero: reads as zero. None: only `live_from` is news.
  std::vector<JournalEntry> runs;
};

// Sub-grains of data.
uint64_t LoggedGrains(std::span<const JournalEntry> runs);
// Bytes of a record.
inline uint64_t WriteLogRecordBytes(uint64_t grains) { return kWriteLogPage + grains * kSubGrain; }

// Makes the first page of a record whose data stands behind it in `bytes`; returns its checksum.
uint32_t SealWriteLogRecord(const BlobId& log, const WriteLogRecord& record, MutSpan bytes);

struct LoggedWrites {
  WriteLogRecord record;
  ConstSpan data;
  uint32_t checksum = 0;
  uint64_t size() const { return kWriteLogPage + data.size(); }
};

// The record that begins `bytes`. kCorrupt: there is none. kUnsupported: a newer program's.
Result<LoggedWrites> DecodeWriteLogRecord(const BlobId& log, ConstSpan bytes);

// What a page says that may begin a record, by what is cheap to see: how long that is, and which
// one of `opening`; 0: it does not begin one.
uint64_t ClaimedLength(ConstSpan page);
uint64_t ClaimedSequence(ConstSpan page, uint32_t opening);

}  // namespace atl
