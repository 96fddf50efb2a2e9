// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/volume_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "xseg/base/planted.h"

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

void VolumeMap::ApplyEntry(Layer* layer, const JournalEntry& entry) {
  const GrainRange range{entry.first, entry.count};
  layer->changes.Set(range, entry.change == JournalChange::kOwn ? layer->own : kZeroSource);
  unbarriered_.Set(range, 1);
}

Task<Status> VolumeMap::Commit(GrainRange range, JournalChange change) {
  const JournalEntry entry{range.first, range.count, change};
  return journal_->Commit(entry);
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
    const bool ours =
        header->generation == generation_ || planted::Has(planted::Bug::kStaleGeneration);
    if (!ours || header->state != HeaderState::kLive) {
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

Task<Status> VolumeMap::SetReadOnly(std::string reason, bool sync_failed) {
  Abandon(reason);
  sync_failed |= journal_ && journal_->sync_failed();
  co_return co_await SwapHeader([&reason, sync_failed](Header* header) -> Status {
    header->read_only_reason = reason;
    header->sync_failed |= sync_failed;
    return {};
  });
}

Task<Status> VolumeMap::EndOpening() {
  co_return co_await SwapHeader([](Header* header) -> Status {
    header->opening = 0;
    return {};
  });
}

void VolumeMap::Abandon(std::string reason) {
  geometry_.read_only_reason = std::move(reason);
  journal_changed_.NotifyAll();
}

Task<Status> VolumeMap::Close() {
  co_await background_.Join();
  if (!geometry_.writable) co_return OkStatus();
  // If it fails nothing is lost: the next open reads more, and folds if it must.
  if (wants_fold() && geometry_.read_only_reason.empty()) (void)co_await FoldAll();
  Store& store = stores_->at(geometry_.slot);
  const Status status = co_await store.TrimLog(journal_->log(), journal_->position());
  co_await DisownAll();
  // Sealed: then it is another one's, and its space with it.
  co_return status.code() == Code::kFenced ? OkStatus() : status;
}

}  // namespace atl
