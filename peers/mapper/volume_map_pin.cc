// SPDX-License-Identifier: Apache-2.0
//
// Pins: a journal ends and the next begins, and with it, perhaps, an epoch.
#include <fmt/format.h>

#include "peers/mapper/volume_map.h"
#include "xseg/base/planted.h"

namespace atl {
namespace {

Task<void> MakeBlob(Store* store, BlobId blob, Status* made) {
  *made = co_await store->Adopt(blob, 0);
  if (made->ok()) *made = co_await store->Sync(blob);
}

}  // namespace

bool VolumeMap::wants_pin() const {
  return journal_->position() >= kPinJournalBytes ||
         active_->changes.memory_bytes() >= kPinMemoryBytes;
}

bool VolumeMap::is_near_source_limit() const {
  return table_.live_count() + kSourceMargin > kMaxSources;
}

Task<Status> VolumeMap::PreparePin(PinChange change) {
  // What was overwritten leaves the table by a fold only.
  if (is_near_source_limit() && !layers_.empty()) {
    CO_RETURN_IF_ERROR(co_await FoldOldest(layers_.size()));
  }
  while (layers_.size() + 1 > kMaxReplayJournals ||
         frozen_entries() + journal_->entries() > kMaxReplayEntries) {
    if (layers_.empty()) break;
    CO_RETURN_IF_ERROR(co_await FoldOldest(layers_.size()));
  }
  co_return co_await PrepareNext(change.begins_epoch());
}

bool VolumeMap::IsPrepared(bool new_epoch) const {
  return next_ && next_->made && next_->new_blob == new_epoch &&
         next_->journal->log().generation > generation_;
}

Task<Status> VolumeMap::PrepareNext(bool new_epoch) {
  const auto lock = co_await next_mutex_.Lock();
  for (uint32_t ahead = 1;; ++ahead) {
    Status made;
    if (!IsPrepared(new_epoch)) {
      co_await AbandonNext();
      made = co_await MakeNext(new_epoch, ahead);
    }
    // Those who are admitted go on in it.
    if (made.ok()) made = co_await next_->journal->Reserve(LengthFor(0, admitted_));
    // Held by somebody who was sealed out, or given up by the store after a failed sync.
    const bool taken = made.code() == Code::kBusy || made.code() == Code::kFenced;
    if (taken || !next_ || !next_->made) co_await AbandonNext();
    if (!taken) co_return made;
    // Of the volume this says nothing: it is ours yet.
    if (ahead == kMostAhead) {
      co_return Status(Code::kUnavailable,
                       fmt::format("volume {} cannot go on in any of the next {} journals: {}",
                                   header_.header.name, ahead, made.message()));
    }
  }
}

Task<Status> VolumeMap::MakeNext(bool new_epoch, uint32_t ahead) {
  const Header& header = header_.header;
  const BlobId blob{header.uuid, header.epoch + (new_epoch ? ahead : 0), 0};
  const LogId log = LogId::Journal(header.uuid, blob.epoch, header.generation + ahead);
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(header.epoch_store));
  CO_ASSIGN_OR_RETURN(const SourceIndex own,
                      table_.IndexOf(SourceType::kBlob, blob.owner, blob.epoch, slot, *stores_));
  Store& store = stores_->at(slot);
  auto layer = std::make_unique<Layer>();
  layer->own = own;
  const auto journal = std::make_shared<JournalLog>(
      &store, log,
      [this, changed = layer.get()](const JournalEntry& entry) { ApplyEntry(changed, entry); });
  next_ = Next{.journal = journal,
               .blob = blob,
               .slot = slot,
               .layer = std::move(layer),
               .new_blob = new_epoch};
  Status blob_made;
  TaskGroup beside;
  if (new_epoch) beside.Run(MakeBlob(&store, blob, &blob_made));
  Status log_made = co_await journal->Create();
  if (log_made.ok()) log_made = co_await store.SyncLog(log);
  co_await beside.Join();
  CO_RETURN_IF_ERROR(blob_made);
  CO_RETURN_IF_ERROR(log_made);
  next_->made = true;
  co_return OkStatus();
}

Task<void> VolumeMap::AbandonNext() {
  if (!next_) co_return;
  const Next gone = *std::exchange(next_, std::nullopt);
  Store& store = stores_->at(gone.slot);
  if (gone.journal->reserved() > 0) (void)co_await store.TrimLog(gone.journal->log(), 0);
  co_await store.DisownLog(gone.journal->log());
  if (gone.new_blob) co_await store.Disown(gone.blob);
}

void VolumeMap::BeginNext() {
  RefreshGeometry();
  const Header& header = header_.header;
  CHECK(next_ && next_->journal->log() == header.journal());
  active_ = std::move(next_->layer);
  active_->journal = {
      header.uuid, header.epoch, header.generation, header.epoch_store, header.epoch_store, 0, 0};
  journal_ = std::move(next_->journal);
  next_.reset();
  unbarriered_.Clear();
  syncing_.Clear();
  // What it has already was made durable with it.
  barriered_position_ = journal_->position();
  barriered_entries_ = noted_entries_ = journal_->entries();
  journal_changed_.NotifyAll();
}

Task<Status> VolumeMap::Pin(PinChange change) {
  const uint64_t length = journal_->position();
  // Not a CHECK: whoever pins may be another process.
  const bool flushed = journal_->entries() == barriered_entries_;
  if (!flushed && !planted::Has(planted::Bug::kPinWithoutFlush)) {
    co_return Status(Code::kInvalid, "a pin comes after a flush");
  }
  ReplayJournal pinned = active_->journal;
  pinned.length = length;
  pinned.entries = journal_->entries();
  const bool new_epoch = change.begins_epoch();
  if (layers_.size() + 1 > kMaxReplayJournals ||
      frozen_entries() + pinned.entries > kMaxReplayEntries) {
    co_return Status(Code::kConflict, "the replay list has filled up meanwhile");
  }
  if (new_epoch && is_near_source_limit()) {
    co_return Status(Code::kLimit,
                     fmt::format("volume {} reads from {} sources and a map has at most {}; copy "
                                 "it with export and import to go on taking snapshots",
                                 geometry_.name, table_.live_count(), kMaxSources));
  }

  if (!IsPrepared(new_epoch) || next_->journal->reserved() < LengthFor(0, admitted_)) {
    co_return Status(Code::kConflict, "what comes next is not prepared, or for too few");
  }
  const LogId next = next_->journal->log();

  pinning_ = true;
  const Status swapped = co_await SwapHeader([&](Header* header) -> Status {
    if (pinned.entries > 0) header->map.replay.push_back(pinned);
    if (header->map.replay.size() > kMaxReplayJournals) {
      return {Code::kBusy, "the replay list is full"};
    }
    header->generation = next.generation;
    header->epoch = next.epoch;
    if (change.new_size) header->size = *change.new_size;
    if (change.ends_opening) header->opening = 0;
    if (change.snapshot) {
      if (header->pending) return {Code::kBusy, "another operation is not finished yet"};
      PendingOperation pending = *change.snapshot;
      pending.map = header->map;
      pending.size = header->size;
      header->pending = std::move(pending);
      header->refs += 1;
    }
    return {};
  });
  pinning_ = false;
  journal_changed_.NotifyAll();
  CO_RETURN_IF_ERROR(swapped);
  const std::shared_ptr<JournalLog> old_journal = journal_;
  const std::optional<BlobId> old_blob =
      new_epoch ? std::optional(active_->journal.blob()) : std::nullopt;
  if (pinned.entries > 0) {
    active_->journal = pinned;
    layers_.push_back(std::move(active_));
  }
  BeginNext();
  background_.Run(GiveUpOld(old_journal, pinned.length, old_blob));
  if (wants_fold()) FoldInBackground();
  co_return OkStatus();
}

// If it fails nothing is lost: the space is taken until the next open, or until the fold.
Task<void> VolumeMap::GiveUpOld(std::shared_ptr<JournalLog> journal, uint64_t length,
                                std::optional<BlobId> blob) {
  Store& store = stores_->at(geometry_.slot);
  co_await journal->Settle();
  if (length > 0) (void)co_await store.TrimLog(journal->log(), length);
  co_await store.DisownLog(journal->log());
  if (blob) co_await store.Disown(*blob);
}

}  // namespace atl
