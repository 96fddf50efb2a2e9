// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/journal_log.h"

#include <algorithm>

#include "peers/mapper/lost_sync.h"
#include "xseg/base/planted.h"

namespace atl {
namespace {

// Space is taken in steps: small, since every open volume has one.
constexpr uint64_t kReserveStep = 256 * kKiB;
constexpr int kAppendAttempts = 3;

}  // namespace

JournalLog::JournalLog(Store* store, const LogId& log, Apply apply)
    : store_(store), log_(log), apply_(std::move(apply)), writer_(log, store->info().cache) {}

JournalLog::~JournalLog() { CHECK(pending_.empty() && !appending_); }

Task<Status> JournalLog::Create() {
  CO_RETURN_IF_ERROR(co_await store_->AdoptLog(log_, 0));
  co_return co_await Reserve(kReserveStep);
}

Task<Status> JournalLog::Reserve(uint64_t length) {
  if (length <= reserved_) co_return OkStatus();
  const auto lock = co_await reserve_mutex_.Lock();
  if (length <= reserved_) co_return OkStatus();
  const uint64_t target = std::min(AlignUp(length, kReserveStep), kJournalCapacity);
  CO_RETURN_IF_ERROR(co_await store_->Reserve(log_, target));
  reserved_ = std::max(reserved_, target);
  co_return OkStatus();
}

Task<Status> JournalLog::Commit(JournalEntry entry) {
  Waiter waiter{.entry = entry};
  pending_.push_back(&waiter);
  if (!appending_) {
    appending_ = true;
    Spawn(AppendLoop());
  }
  co_await waiter.done;
  co_return waiter.status;
}

Task<void> JournalLog::AppendLoop() {
  co_await Yield{};  // Whoever completes in this turn comes along.
  while (!pending_.empty()) {
    const auto lock = co_await append_mutex_.Lock();
    const size_t count = std::min(pending_.size(), kMaxBatchEntries);
    std::vector<Waiter*> batch(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    std::vector<JournalEntry> entries;
    entries.reserve(count);
    for (const Waiter* waiter : batch) entries.push_back(waiter->entry);
    Bytes bytes = writer_.MakeEntries(entries);
    const Status status = co_await Put(std::move(bytes), entries);
    for (Waiter* waiter : batch) {
      waiter->status = status;
      waiter->done.Set();
    }
  }
  appending_ = false;
}

uint64_t JournalLog::LengthOf(size_t entries) {
  const uint64_t batches = (entries + kMaxBatchEntries - 1) / kMaxBatchEntries;
  return batches * kJournalBatchHeader + entries * kJournalEntryBytes + kJournalBarrierReserve;
}

Task<Status> JournalLog::CommitAll(std::vector<JournalEntry> entries) {
  const auto lock = co_await append_mutex_.Lock();
  for (std::span<const JournalEntry> rest = entries; !rest.empty();) {
    const auto batch = rest.first(std::min(rest.size(), kMaxBatchEntries));
    Bytes bytes = writer_.MakeEntries(batch);
    CO_RETURN_IF_ERROR(co_await Put(std::move(bytes), batch));
    rest = rest.subspan(batch.size());
  }
  co_return OkStatus();
}

Task<Status> JournalLog::Put(Bytes batch, std::span<const JournalEntry> entries) {
  if (planted::Has(planted::Bug::kLostEntry) && !entries.empty() && entries[0].first % 8 == 5) {
    for (const JournalEntry& entry : entries) apply_(entry);
    co_return closed_;
  }
  for (int attempt = 0; closed_.ok(); ++attempt) {
    const Status status = co_await store_->Append(log_, writer_.position(), batch);
    if (status.ok()) {
      writer_.Advance(batch);
      for (const JournalEntry& entry : entries) apply_(entry);
      entries_ += entries.size();
      break;
    }
    if (attempt == kAppendAttempts - 1) closed_ = status.With("the journal is closed");
  }
  co_return closed_;
}

Task<Status> JournalLog::Barrier(uint64_t position) {
  {
    const auto lock = co_await append_mutex_.Lock();
    CHECK(position <= writer_.position());
    CO_RETURN_IF_ERROR(co_await Reserve(writer_.position() + kJournalBatchHeader));
    Bytes bytes = writer_.MakeBarrier(position);
    CO_RETURN_IF_ERROR(co_await Put(std::move(bytes), {}));
  }
  const uint64_t end = writer_.position();
  if (planted::Has(planted::Bug::kNoJournalSync)) co_return OkStatus();
  const Status synced = co_await store_->SyncLog(log_);
  sync_failed_ |= MayHaveLost(synced);
  CO_RETURN_IF_ERROR(synced);
  writer_.NoteSynced(end);
  co_return OkStatus();
}

}  // namespace atl
