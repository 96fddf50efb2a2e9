// SPDX-License-Identifier: Apache-2.0
//
// How what was written becomes durable: by a sync of the blob and a barrier of the journal, which
// cover everything, or by a record of the write log, which holds what a flush has to cover.
#include <spdlog/spdlog.h>

#include "peers/composer/composer.h"
#include "peers/mapper/lost_sync.h"
#include "xseg/base/planted.h"

namespace atl {
namespace {

// Between attempts to make a write log.
constexpr int64_t kMakeLogPause = 60 * kSecond;

}  // namespace

// One for a flush has the mutex of the flushes, so that nothing is taken into the log between its
// note and its mark that it does not know of. One that only cleans runs beside those, and leaves
// them what is unflushed: they are not to take for durable what this has yet to make so.
Task<Status> Composer::SyncBlob(SyncFor purpose) {
  const auto lock = co_await sync_mutex_.Lock();
  CO_RETURN_IF_ERROR(co_await Failed());
  const auto log_has_failed = [this] { return log_ && !log_->takes_more(); };
  const bool had_failed = log_has_failed();
  Status status = co_await SyncNoted(purpose);
  // What was taken into the log before it failed is to be covered, too.
  if (status.ok() && !had_failed && log_has_failed()) status = co_await SyncNoted(purpose);
  if (status.ok() && log_has_failed() && log_->holds_writes()) {
    spdlog::warn("{}: flushes go without its write log from now on: {}", map_->geometry().name,
                 log_->failed().ToString());
    status = co_await map_->EndOpening();
    if (status.ok()) log_->Void();
  }
  if (!status.ok()) co_return co_await Fail(status);
  co_return OkStatus();
}

Task<Status> Composer::SyncNoted(SyncFor purpose) {
  Store& store = stores_->at(map_->geometry().slot);
  const uint64_t position = map_->NotePosition();
  const uint64_t noted = completed_;
  const uint64_t logged = log_ && log_->holds_writes() ? log_->next_sequence() : 0;
  if (purpose == SyncFor::kFlush) unflushed_.Forget();
  if (noted != synced_ && !planted::Has(planted::Bug::kNoBlobSync)) {
    const MapGeometry& geometry = map_->geometry();
    const Status synced = co_await store.Sync(geometry.own);
    sync_failed_ |= MayHaveLost(synced);
    CO_RETURN_IF_ERROR(synced);
    synced_ = noted;
  }
  const Status barrier = co_await map_->Barrier(position);
  barrier_failed_ |= MayHaveLost(barrier);
  CO_RETURN_IF_ERROR(barrier);
  // From here on the records are not needed; before a flush is acknowledged that has something of
  // which they hold an older state, they must not count any more.
  if (logged == 0 || planted::Has(planted::Bug::kNoMark)) co_return OkStatus();
  const Status marked = co_await log_->Mark(logged);
  // Sealed: then the volume is another one's. Else it is without a log from now on.
  co_return marked.code() == Code::kFenced ? marked : OkStatus();
}

// Unless it must be, not all the time: what is written over and over need not be synced as often.
void Composer::CleanSoon(bool must) {
  if (cleaning_ || closing_ || (!must && env_->BootNs() < may_clean_ns_)) return;
  cleaning_ = true;
  background_.Run(Clean());
}

Task<void> Composer::Clean() {
  constexpr int64_t kPauses = 10;
  co_await Yield{};
  const int64_t began_ns = env_->BootNs();
  {
    const auto pass = co_await gate_.Enter();
    if (right_().ok())
      (void)co_await SyncBlob(SyncFor::kCleaning);  // Of a failure everybody hears.
  }
  const int64_t now_ns = env_->BootNs();
  may_clean_ns_ = now_ns + kPauses * (now_ns - began_ns);
  cleaning_ = false;
}

// --- The write log -------------------------------------------------------------------------------

Task<Result<bool>> Composer::LogUnflushed() {
  if (!log_ || unflushed_.too_many()) co_return false;
  if (unflushed_.empty()) co_return true;
  if (!log_->HasRoom(unflushed_.grains())) co_return false;
  const WriteLog::Fill fill = [this](std::span<const JournalEntry> runs, MutSpan data) {
    return ReadBack(runs, data);
  };
  const Status status = co_await log_->Append(unflushed_.Take(), fill);
  if (log_->wants_mark()) CleanSoon(true);
  if (status.ok()) co_return true;
  // The sync of the blob has what was unflushed, too.
  if (status.code() != Code::kFenced) co_return false;
  co_return co_await Fail(status);
}

// As it is now, which may be later than what the flush has to cover. Nobody sees half of a write.
Task<Status> Composer::ReadBack(std::span<const JournalEntry> runs, MutSpan out) {
  const MapGeometry& geometry = map_->geometry();
  Store& store = stores_->at(geometry.slot);
  for (const JournalEntry& run : runs) {
    if (run.change == JournalChange::kZero) continue;
    const ByteRange range{run.first * kSubGrain, run.count * kSubGrain};
    const MutSpan part = out.first(range.length);
    out = out.subspan(range.length);
    if (ranges_.IsFree(range, RangeMode::kShared) &&
        store.TryRead(geometry.own, range.offset, part)) {
      continue;
    }
    RangeLock::Hold hold(&ranges_, range, RangeMode::kShared);
    co_await hold;
    CO_RETURN_IF_ERROR(co_await store.Read(geometry.own, range.offset, part));
  }
  co_return OkStatus();
}

// A store that can prove the life of its cache: else what was written and not flushed would be
// taken back by what was flushed before, after each death of a process.
void Composer::MakeLogIfWanted() {
  if (log_ || making_log_ || closing_ || unflushed_.empty() || unflushed_.too_many()) return;
  if (options_.flushes_before_log == 0) return;
  const StoreInfo& store = stores_->at(map_->geometry().slot).info();
  if (store.capabilities.durable_at_ack || !store.cache.trusted) return;
  if (map_->header().opening == 0 || ++small_flushes_ < options_.flushes_before_log) return;
  if (env_->BootNs() < may_make_log_ns_) return;
  making_log_ = true;
  background_.Run(MakeLog());
}

Task<void> Composer::MakeLog() {
  const MapGeometry& geometry = map_->geometry();
  const uint64_t size = geometry.size;
  const uint32_t opening = map_->header().opening;
  const BlobId log = WriteLogOf(geometry.uuid, opening);
  auto made = co_await WriteLog::Make(&stores_->at(geometry.slot), log, opening, size);
  making_log_ = false;
  if (made.ok()) {
    unflushed_.SetLimit(WriteLog::MostGrains(size));
    log_ = *std::move(made);
    co_return;
  }
  spdlog::info("{}: flushes go without a write log for now: {}", geometry.name,
               made.status().ToString());
  may_make_log_ns_ = env_->BootNs() + kMakeLogPause;
  // One that is sealed stays, for who has sealed it.
  if (made.code() != Code::kFenced) co_await DropLog(log);
}

// Of which nothing counts. What cannot be removed is garbage.
Task<void> Composer::DropLog(BlobId log) {
  Store& store = stores_->at(map_->geometry().slot);
  co_await store.Disown(log);
  (void)co_await store.Remove(log);
}

}  // namespace atl
