// SPDX-License-Identifier: Apache-2.0
//
// The write log of an open volume (peers/format/write_log.h), as its one writer has it. Its two
// halves take turns: one is written to again once a mark says that nothing in it counts any more.
//
//   records:  |A1 A2 A3 A4 A5|        A is full: B goes on, and the blob is synced
//             |A1 A2 A3 A4 A5|B6 B7 m8|  the mark says that 6 is the first that counts: A is free
//
// A call ends when what it has appended is durable. After one that has failed the log takes
// nothing any more; what it has counts until the blob is synced and the opening has ended.
//
// Threads: the composer's. The store outlives it; all calls have ended before it is destroyed.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "peers/format/write_log.h"
#include "peers/store/store.h"
#include "xseg/base/buffer.h"
#include "xseg/base/sync.h"

namespace atl {

class WriteLog {
 public:
  // For a volume of `volume_size`: the log takes an eighth of it, and 128 MiB at most.
  static uint64_t HalfOf(uint64_t volume_size);
  // Of data in one record.
  static uint64_t MostGrains(uint64_t volume_size);

  // Makes it with all of its space, so that a record costs no change of metadata.
  static Task<Result<std::unique_ptr<WriteLog>>> Make(Store* store, BlobId log, uint32_t opening,
                                                      uint64_t volume_size);

  // Fills in the data of runs that are kOwn, in order.
  using Fill = std::function<Task<Status>(std::span<const JournalEntry> runs, MutSpan data)>;
  // What a sync of the blob covers that begins while `fill` runs, or later, this record need not
  // keep. kLimit: there is no room, and kUnavailable: `fill` has failed; nothing has happened then.
  Task<Status> Append(std::vector<JournalEntry> runs, Fill fill);
  // All records before `sequence` are durable in the blob, and their changes of the map in the
  // journal.
  Task<Status> Mark(uint64_t sequence);

  bool HasRoom(uint64_t grains) const;
  bool takes_more() const { return failed_.ok(); }
  // Why not.
  const Status& failed() const { return failed_; }
  // The header says that nothing in it counts any more.
  void Void() { is_void_ = true; }
  // Some record counts, or is about to.
  bool holds_writes() const { return !is_void_ && last_writes_ >= live_from_; }
  // The one that is made next.
  uint64_t next_sequence() const { return next_; }
  // The half that comes next is not free.
  bool wants_mark() const { return last_of_[1 - half_] >= live_from_; }
  const BlobId& log() const { return log_; }

 private:
  WriteLog(Store* store, BlobId log, uint32_t opening, uint64_t half_bytes)
      : store_(store), log_(log), opening_(opening), half_bytes_(half_bytes) {}
  bool Fits(uint64_t bytes, uint64_t reserve) const;
  // Goes on in the other half if it must. False: that is not free.
  bool Place(uint64_t bytes, uint64_t reserve);
  Task<Status> Put(WriteLogRecord record, MutSpan bytes);

  Store* store_;
  BlobId log_;
  uint32_t opening_;
  uint64_t half_bytes_;
  HeapBufferPool buffers_{kMaxWriteLogRecord};
  Mutex mutex_;
  Status failed_;
  bool is_void_ = false;

  uint64_t next_ = 1;
  uint64_t live_from_ = 1;    // By a durable mark.
  uint64_t last_writes_ = 0;  // The last record that is no mark, or is about to be.
  uint32_t previous_ = 0;
  size_t half_ = 0;
  uint64_t offset_ = 0;                // In it.
  std::array<uint64_t, 2> last_of_{};  // Records of the halves; 0: none.
};

}  // namespace atl
