// SPDX-License-Identifier: Apache-2.0
//
// The current journal of an open volume. Commits of one turn of the executor share one append; a
// commit ends when its batch is stored, and what it changes is applied in the order of the batches.
//
// A failed append is repeated byte for byte; if that does not help the journal is closed for good:
// every later commit and barrier fails with the same error. Recovery stops at the first bad batch,
// so nothing may ever stand behind one; and what the failed batch says may still be found there
// after a crash, so nothing that contradicts it may be acknowledged any more.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "peers/format/journal.h"
#include "peers/store/store.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class JournalLog {
 public:
  // `apply` is called for each entry when it is stored, in order.
  using Apply = std::function<void(const JournalEntry&)>;

  JournalLog(Store* store, const LogId& log, Apply apply);
  // Nothing may be in flight.
  ~JournalLog();

  // Adopts the log, which is new, and reserves the first space.
  Task<Status> Create();
  // Takes space for everything up to `length`.
  Task<Status> Reserve(uint64_t length);
  uint64_t reserved() const { return reserved_; }
  // Waits for reservations under way.
  Task<void> Settle() { (void)co_await reserve_mutex_.Lock(); }

  Task<Status> Commit(JournalEntry entry);
  // Many at once, in order; space was reserved for LengthOf so many.
  Task<Status> CommitAll(std::vector<JournalEntry> entries);
  static uint64_t LengthOf(size_t entries);
  // Appends a barrier that covers `position` and makes the journal durable.
  Task<Status> Barrier(uint64_t position);

  const LogId& log() const { return log_; }
  // A sync of it has failed so that what was appended may be lost.
  bool sync_failed() const { return sync_failed_; }
  // The end of the completed appends.
  uint64_t position() const { return writer_.position(); }
  uint64_t entries() const { return entries_; }

 private:
  struct Waiter {
    JournalEntry entry;
    Status status;
    Event done;
  };
  Task<void> AppendLoop();
  // Puts `batch` at the writer's position; then, at once, its entries count.
  Task<Status> Put(Bytes batch, std::span<const JournalEntry> entries);

  Store* store_;
  LogId log_;
  Apply apply_;
  JournalWriter writer_;
  uint64_t reserved_ = 0;
  uint64_t entries_ = 0;
  std::vector<Waiter*> pending_;
  bool appending_ = false;
  Mutex append_mutex_;
  Mutex reserve_mutex_;
  bool sync_failed_ = false;
  Status closed_;  // Not ok: why nothing can be appended any more.
};

}  // namespace atl
