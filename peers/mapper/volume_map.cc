// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/volume_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace atl {
namespace {

// The most that what is admitted at once can take: a batch for each commit.
constexpr uint64_t kAdmittedBytes = kCommitsAdmitted * (kJournalBatchHeader + kJournalEntryBytes);
// Sub-grains that are looked up at once before it is known whether nodes are missing.
constexpr uint64_t kTranslateStep = 256 * kMiB / kSubGrain;

}  // namespace

VolumeMap::VolumeMap(Env* env, StoreSet* stores, StoreSlot home, VersionedHeader header)
    : env_(env), stores_(stores), home_(home), header_(std::move(header)), tree_(&table_, stores) {}

VolumeMap::~VolumeMap() = default;

// --- Lookup ------------------------------------------------------------------------------------

// Leaves the runs of `range`, in order and without gaps, in `runs_`, as far as nodes are in memory:
// up to the sub-grain that it returns. If that is not the end of the range `missing` is needed to
// go on.
uint64_t VolumeMap::FindRuns(GrainRange range, MapTree::Missing* missing) {
  runs_.clear();
  gaps_.assign(1, range);
  const auto look_in = [this](const IntervalMap& changes) {
    if (changes.empty() || gaps_.empty()) return;
    next_gaps_.clear();
    for (const GrainRange& gap : gaps_) {
      found_.clear();
      changes.Find(gap, &found_);
      uint64_t at = gap.first;
      for (const GrainRun& run : found_) {
        if (run.range.first > at) next_gaps_.push_back({at, run.range.first - at});
        runs_.push_back(run);
        at = run.range.end();
      }
      if (at < gap.end()) next_gaps_.push_back({at, gap.end() - at});
    }
    gaps_.swap(next_gaps_);
  };
  if (active_) look_in(active_->changes);
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) look_in((*layer)->changes);
  uint64_t known = range.end();
  for (const GrainRange& gap : gaps_) {
    found_.clear();
    const bool all = tree_.Find(gap, &found_, missing);
    runs_.insert(runs_.end(), found_.begin(), found_.end());
    if (all) continue;
    known = std::max(gap.first, missing->first);
    std::erase_if(runs_, [known](const GrainRun& run) { return run.range.first >= known; });
    break;
  }
  if (runs_.size() > 1) {
    std::sort(runs_.begin(), runs_.end(),
              [](const GrainRun& a, const GrainRun& b) { return a.range.first < b.range.first; });
  }
  return known;
}

bool VolumeMap::AppendPieces(ByteRange range, MapPieces* out) const {
  for (const GrainRun& run : runs_) {
    const ByteRange bytes{run.range.first * kSubGrain, run.range.count * kSubGrain};
    MapPiece piece{.range = bytes.Intersect(range)};
    if (run.source != kZeroSource) {
      const SourceTable::Entry* entry = table_.Find(run.source);
      if (entry == nullptr || entry->source.type != SourceType::kBlob) return false;
      if (entry->source.flags & kSourceUnsealed) return false;
      piece.slot = entry->slot;
      piece.blob = entry->source.blob();
      piece.kind =
          geometry_.writable && run.source == active_->own ? PieceKind::kOwn : PieceKind::kOther;
    }
    if (!out->empty() && out->back().kind == piece.kind && out->back().blob == piece.blob &&
        out->back().slot == piece.slot) {
      out->back().range.length += piece.range.length;
    } else {
      out->push_back(piece);
    }
  }
  return true;
}

bool VolumeMap::TryTranslate(ByteRange range, MapPieces* out) {
  out->clear();
  MapTree::Missing missing;
  const GrainRange grains = GrainsOf(range);
  return FindRuns(grains, &missing) == grains.end() && AppendPieces(range, out);
}

// What was found before a node had to be read stays right, so it goes on behind that: a range may
// have more nodes than are kept in memory.
Task<Status> VolumeMap::Translate(ByteRange range, MapPieces* out) {
  out->clear();
  const GrainRange grains = GrainsOf(range);
  uint64_t step = kTranslateStep;
  for (uint64_t at = grains.first; at < grains.end();) {
    const GrainRange part{at, std::min(step, grains.end() - at)};
    MapTree::Missing missing;
    at = FindRuns(part, &missing);
    if (!AppendPieces(range, out)) co_return UnreadableSource();
    step = at == part.end() ? step * 2 : kTranslateStep;
    if (at == part.end()) continue;
    const NodePointer top = tree_.top();
    const Status loaded = co_await tree_.Load(missing);
    // A checkpoint may have taken the place of the tree that the node belongs to.
    if (!loaded.ok() && tree_.top() == top) co_return loaded.With("map of " + geometry_.name);
  }
  co_return OkStatus();
}

Status VolumeMap::UnreadableSource() const {
  for (const GrainRun& run : runs_) {
    const SourceTable::Entry* entry = table_.Find(run.source);
    if (run.source == kZeroSource || entry != nullptr) continue;
    return {Code::kCorrupt, fmt::format("map of {} names source {}, which is not in its table",
                                        geometry_.name, run.source)};
  }
  return {Code::kUnsupported, fmt::format("map of {} has a source of a kind that this version "
                                          "cannot read",
                                          geometry_.name)};
}

// --- Commits -----------------------------------------------------------------------------------

uint64_t VolumeMap::LengthFor(uint64_t position, uint64_t admitted) {
  return position + admitted * kAdmittedBytes + kJournalBarrierReserve;
}

bool VolumeMap::TryAdmit() {
  if (pinning_ || LengthFor(journal_->position(), admitted_ + 1) > journal_->reserved()) {
    return false;
  }
  ++admitted_;
  return true;
}

Task<Status> VolumeMap::Admit() {
  while (!TryAdmit()) {
    if (!geometry_.read_only_reason.empty()) {
      co_return Status(Code::kReadOnly, fmt::format("volume {} is read-only: {}", geometry_.name,
                                                    geometry_.read_only_reason));
    }
    const uint64_t length = LengthFor(journal_->position(), admitted_ + 1);
    if (pinning_ || length > kJournalCapacity) {  // A pin makes room.
      co_await journal_changed_;
      continue;
    }
    // A pin may put another in its place meanwhile; then it no longer matters how this ended.
    const std::shared_ptr<JournalLog> journal = journal_;
    const Status status = co_await journal->Reserve(length);
    if (!status.ok() && journal == journal_) co_return status;
  }
  co_return OkStatus();
}

void VolumeMap::Leave() {
  CHECK(admitted_ > 0);
  --admitted_;
  // Somebody may wait for the space that this one did not use.
  journal_changed_.NotifyAll();
}

void VolumeMap::ApplyEntry(const JournalEntry& entry) {
  const GrainRange range{entry.first, entry.count};
  active_->changes.Set(range, entry.change == JournalChange::kOwn ? active_->own : kZeroSource);
  unbarriered_.Set(range, 1);
}

Task<Status> VolumeMap::Commit(GrainRange range, JournalChange change) {
  const JournalEntry entry{range.first, range.count, change};
  co_return (co_await journal_->Commit(entry)).With("journal of " + geometry_.name);
}

bool VolumeMap::IsBarriered(GrainRange range) {
  return !unbarriered_.Overlaps(range) && !syncing_.Overlaps(range);
}

uint64_t VolumeMap::NotePosition() {
  noted_entries_ = journal_->entries();
  if (noted_entries_ == barriered_entries_) return barriered_position_;
  // What an earlier barrier did not make durable joins this one.
  GrainRun run;
  if (syncing_.empty()) std::swap(syncing_, unbarriered_);
  for (uint64_t at = 0; unbarriered_.FirstAfter(at, &run); at = run.range.end()) {
    syncing_.Set(run.range, 1);
  }
  unbarriered_.Clear();
  return journal_->position();
}

Task<Status> VolumeMap::Barrier(uint64_t position) {
  if (position <= barriered_position_) co_return OkStatus();
  const uint64_t entries = noted_entries_;
  CO_RETURN_IF_ERROR((co_await journal_->Barrier(position)).With("journal of " + geometry_.name));
  syncing_.Clear();
  barriered_position_ = position;
  barriered_entries_ = entries;
  co_return OkStatus();
}

// --- Header ------------------------------------------------------------------------------------

Task<Status> VolumeMap::SettleDoubt() {
  const auto happened = co_await SettleHeader(&stores_->at(home_), &header_);
  if (!happened.ok()) co_return happened.status();
  // Whatever it was, it was ours.
  if (*happened) generation_ = header_.header.generation;
  co_return OkStatus();
}

Task<Status> VolumeMap::SwapHeader(HeaderChange change) {
  const auto lock = co_await header_mutex_.Lock();
  CO_RETURN_IF_ERROR(co_await SettleDoubt());
  const HeaderChange guarded = [this, &change](Header* header) -> Status {
    if (header->generation != generation_ || header->state != HeaderState::kLive) {
      return {Code::kFenced, fmt::format("volume {} was taken over by another node (generation {}, "
                                         "ours is {})",
                                         geometry_.name, header->generation, generation_)};
    }
    return change(header);
  };
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, &stores_->at(home_), &header_, guarded));
  generation_ = header_.header.generation;
  co_return OkStatus();
}

Task<Status> VolumeMap::Grow(uint64_t size) {
  CO_RETURN_IF_ERROR(co_await SwapHeader([size](Header* header) -> Status {
    if (size < header->size) return {Code::kInvalid, "the volume is larger already"};
    header->size = size;
    return {};
  }));
  RefreshGeometry();
  co_return OkStatus();
}

Task<Status> VolumeMap::ClearPending(const Uuid& uuid) {
  co_return co_await SwapHeader([uuid](Header* header) -> Status {
    if (header->pending && header->pending->uuid == uuid) header->pending.reset();
    return {};
  });
}

Task<Status> VolumeMap::SetName(const Uuid& name_space, std::string name) {
  CO_RETURN_IF_ERROR(co_await SwapHeader([&](Header* header) -> Status {
    header->name_space = name_space;
    header->name = name;
    return {};
  }));
  RefreshGeometry();
  co_return OkStatus();
}

Task<Status> VolumeMap::SetReadOnly(std::string reason) {
  Abandon(reason);
  co_return co_await SwapHeader([&reason](Header* header) -> Status {
    header->read_only_reason = reason;
    return {};
  });
}

void VolumeMap::Abandon(std::string reason) {
  geometry_.read_only_reason = std::move(reason);
  journal_changed_.NotifyAll();
}

// --- Pin ---------------------------------------------------------------------------------------

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
  co_return co_await PrepareNext(change.begins_epoch(), true);
}

bool VolumeMap::IsPrepared(bool new_epoch) const {
  return next_ && next_->made && next_->new_blob == new_epoch &&
         next_->journal->log().generation > generation_;
}

Task<Status> VolumeMap::PrepareNext(bool new_epoch, bool durably) {
  const auto lock = co_await next_mutex_.Lock();
  for (uint32_t ahead = 1;; ++ahead) {
    Status made;
    if (!IsPrepared(new_epoch)) {
      co_await AbandonNext();
      made = co_await MakeNext(new_epoch, ahead, durably);
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

Task<Status> VolumeMap::MakeNext(bool new_epoch, uint32_t ahead, bool durably) {
  const Header& header = header_.header;
  const BlobId blob{header.uuid, header.epoch + (new_epoch ? ahead : 0), 0};
  const LogId log = LogId::Journal(header.uuid, blob.epoch, header.generation + ahead);
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(header.epoch_store));
  CO_ASSIGN_OR_RETURN(const SourceIndex own,
                      table_.IndexOf(SourceType::kBlob, blob.owner, blob.epoch, slot, *stores_));
  Store& store = stores_->at(slot);
  const auto journal = std::make_shared<JournalLog>(
      &store, log, [this](const JournalEntry& entry) { ApplyEntry(entry); });
  next_ = Next{.journal = journal, .blob = blob, .slot = slot, .own = own, .new_blob = new_epoch};
  if (new_epoch) CO_RETURN_IF_ERROR(co_await store.Adopt(blob, 0));
  if (new_epoch && durably) CO_RETURN_IF_ERROR(co_await store.Sync(blob));
  CO_RETURN_IF_ERROR(co_await journal->Create());
  if (durably) CO_RETURN_IF_ERROR(co_await store.SyncLog(log));
  next_->made = true;
  co_return OkStatus();
}

Task<void> VolumeMap::AbandonNext() {
  if (!next_) co_return;
  const Next gone = *std::exchange(next_, std::nullopt);
  Store& store = stores_->at(gone.slot);
  (void)co_await store.TrimLog(gone.journal->log(), 0);
  co_await store.DisownLog(gone.journal->log());
  if (gone.new_blob) co_await store.Disown(gone.blob);
}

void VolumeMap::BeginNext() {
  RefreshGeometry();
  const Header& header = header_.header;
  CHECK(next_ && next_->journal->log() == header.journal());
  active_ = std::make_unique<Layer>();
  active_->journal = {
      header.uuid, header.epoch, header.generation, header.epoch_store, header.epoch_store, 0, 0};
  active_->own = next_->own;
  journal_ = std::move(next_->journal);
  next_.reset();
  unbarriered_.Clear();
  syncing_.Clear();
  barriered_position_ = barriered_entries_ = noted_entries_ = 0;
  journal_changed_.NotifyAll();
}

Task<Status> VolumeMap::Pin(PinChange change) {
  const uint64_t length = journal_->position();
  // Not a CHECK: whoever pins may be another process.
  if (journal_->entries() != barriered_entries_) {
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
  const LogId old_journal = active_->journal.log();
  const std::optional<BlobId> old_blob =
      new_epoch ? std::optional(active_->journal.blob()) : std::nullopt;
  if (pinned.entries > 0) {
    active_->journal = pinned;
    layers_.push_back(std::move(active_));
  }
  BeginNext();
  background_.Run([](VolumeMap* self, LogId log, std::optional<BlobId> blob) -> Task<void> {
    (void)co_await self->GiveUpOld(log, blob);
  }(this, old_journal, old_blob));
  if (wants_fold()) FoldInBackground();
  co_return OkStatus();
}

Task<Status> VolumeMap::GiveUpOld(LogId journal, std::optional<BlobId> blob) {
  Store& store = stores_->at(geometry_.slot);
  const uint64_t length = layers_.empty() ? 0 : layers_.back()->journal.length;
  if (!layers_.empty() && layers_.back()->journal.log() == journal) {
    CO_RETURN_IF_ERROR(co_await store.TrimLog(journal, length));
  }
  co_await store.DisownLog(journal);
  if (blob) co_await store.Disown(*blob);
  co_return OkStatus();
}

Task<Status> VolumeMap::Close() {
  co_await background_.Join();
  if (!geometry_.writable) co_return OkStatus();
  // If it fails nothing is lost: the next open reads more, and folds if it must.
  if (wants_fold()) (void)co_await FoldAll();
  Store& store = stores_->at(geometry_.slot);
  const Status status = co_await store.TrimLog(journal_->log(), journal_->position());
  co_await DisownAll();
  co_return status;
}

}  // namespace atl
