// SPDX-License-Identifier: Apache-2.0
//
// What the write log of the opening before (peers/format/write_log.h) has saved.
#include <fmt/format.h>

#include "peers/mapper/volume_map.h"

namespace atl {
namespace {

// How much of a half was ever written to.
Task<Result<uint64_t>> LengthOfHalf(Store* store, BlobId log, uint64_t at) {
  CO_ASSIGN_OR_RETURN(const auto extents, co_await store->Extents(log, {at, kWriteLogHalf}));
  uint64_t end = at;
  for (const BlobExtent& extent : extents) {
    if (extent.kind == ExtentKind::kData) end = extent.range.end();
  }
  co_return end - at;
}

// Whether a half begins with a record of this opening and of the life of the cache that is now:
// then the blob has all that is in the log.
Task<Result<bool>> IsCached(Store* store, BlobId log, uint32_t opening, uint64_t at) {
  Bytes first(kMaxWriteLogRecord);
  CO_RETURN_IF_ERROR(co_await store->Read(log, at, first));
  const auto found = DecodeWriteLogRecord(log, first);
  co_return found.ok() && found->record.opening == opening &&
      store->info().cache.Proves(found->record.cache);
}

}  // namespace

// Also that of somebody who was sealed out: whoever breaks a lock seals the log before the others.
Task<Result<VolumeMap::SavedWrites>> VolumeMap::ReadSavedWrites(bool even_if_cached) {
  const Header& header = header_.header;
  SavedWrites saved;
  if (header.opening == 0) co_return saved;
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(header.epoch_store));
  Store& store = stores_->at(slot);
  if (store.info().capabilities.durable_at_ack) co_return saved;
  const BlobId log = saved.log = WriteLogOf(header.uuid, header.opening);
  const auto usage = co_await store.Usage(log);
  if (usage.code() == Code::kNotFound) co_return saved;
  CO_RETURN_IF_ERROR(usage.status());
  // Nothing of an earlier one is in flight any more.
  const Status adopted = co_await store.Adopt(log, kAdoptWait);
  if (adopted.code() != Code::kFenced) CO_RETURN_IF_ERROR(adopted);
  saved.is_ours = adopted.ok();
  for (const uint64_t at : {uint64_t{0}, kWriteLogHalf}) {
    if (even_if_cached) break;
    CO_ASSIGN_OR_RETURN(const bool cached, co_await IsCached(&store, log, header.opening, at));
    if (cached) co_return saved;
  }
  std::array<uint64_t, 2> lengths{};
  CO_ASSIGN_OR_RETURN(lengths[0], co_await LengthOfHalf(&store, log, 0));
  CO_ASSIGN_OR_RETURN(lengths[1], co_await LengthOfHalf(&store, log, kWriteLogHalf));
  WriteLogReader reader(log, header.opening, lengths);
  Bytes bytes(WriteLogReader::kMostBytes);
  for (ByteRange piece = reader.wants(); !piece.empty(); piece = reader.wants()) {
    const MutSpan part = MutSpan(bytes).first(piece.length);
    CO_RETURN_IF_ERROR(co_await store.Read(log, piece.offset, part));
    reader.Take(part);
  }
  auto live = reader.Live();
  if (!live.ok()) co_return live.status().With("volume " + header.name);
  saved.records = *std::move(live);
  co_return saved;
}

// The blob may be the current one: then this repeats what its last holder has written to it, and a
// death in the middle of it harms nothing, for all of it is there to be repeated again.
Task<Status> VolumeMap::Replay(const SavedWrites& saved) {
  Store& store = stores_->at(next_->slot);
  IntervalMap changes;
  Bytes bytes(kMaxWriteLogRecord);
  for (const PlacedRecord& placed : saved.records) {
    const MutSpan whole = MutSpan(bytes).first(placed.size);
    CO_RETURN_IF_ERROR(co_await store.Read(saved.log, placed.at, whole));
    CO_ASSIGN_OR_RETURN(const LoggedWrites writes, DecodeWriteLogRecord(saved.log, whole));
    if (writes.checksum != placed.checksum) {
      co_return Status(Code::kCorrupt, fmt::format("record {} of {} has changed while it was read",
                                                   placed.record.sequence, saved.log.ToString()));
    }
    ConstSpan data = writes.data;
    for (const JournalEntry& run : writes.record.runs) {
      const bool zero = run.change == JournalChange::kZero;
      changes.Set({run.first, run.count}, zero ? kZeroSource : next_->layer->own);
      if (zero) continue;
      const ConstSpan part = data.first(run.count * kSubGrain);
      CO_RETURN_IF_ERROR(co_await store.Write(next_->blob, run.first * kSubGrain, part, {}));
      data = data.subspan(part.size());
    }
  }
  std::vector<JournalEntry> entries;
  GrainRun run;
  for (uint64_t at = 0; changes.FirstAfter(at, &run); at = run.range.end()) {
    const bool zero = run.source == kZeroSource;
    entries.push_back(
        {run.range.first, run.range.count, zero ? JournalChange::kZero : JournalChange::kOwn});
  }
  JournalLog& journal = *next_->journal;
  CO_RETURN_IF_ERROR(co_await journal.Reserve(JournalLog::LengthOf(entries.size())));
  CO_RETURN_IF_ERROR(co_await journal.CommitAll(std::move(entries)));
  CO_RETURN_IF_ERROR(co_await store.Sync(next_->blob));
  co_return co_await journal.Barrier(journal.position());
}

// Of an opening that has ended, once the header says so. Not one that was sealed: its holder lives,
// and must go on to find it sealed.
Task<void> VolumeMap::DropWriteLog(StoreSlot slot, uint32_t opening) {
  Store& store = stores_->at(slot);
  const BlobId log = WriteLogOf(header_.header.uuid, opening);
  co_await store.Disown(log);
  (void)co_await store.Remove(log);
}

}  // namespace atl
