// SPDX-License-Identifier: Apache-2.0
//
// Opening a map, after whatever end. See DESIGN "Open after an unclean end" in
// docs/architecture.md.
#include <fmt/format.h>

#include "peers/mapper/log_reader.h"
#include "peers/mapper/lost_sync.h"
#include "peers/mapper/root_store.h"
#include "peers/mapper/volume_map.h"
#include "xseg/base/planted.h"

namespace atl {

Task<Result<std::unique_ptr<VolumeMap>>> VolumeMap::OpenWritable(Env* env, StoreSet* stores,
                                                                 StoreSlot home, Uuid uuid,
                                                                 int64_t adopt_wait_ns) {
  Store* store = &stores->at(home);
  CO_ASSIGN_OR_RETURN(VersionedHeader found, co_await ReadHeader(store, uuid, ReadFor::kAct));
  const Takeover how{.adopt_wait_ns = adopt_wait_ns};
  co_return co_await Open(env, stores, home, std::move(found), how);
}

Task<Result<std::unique_ptr<VolumeMap>>> VolumeMap::Reopen(Env* env, StoreSet* stores,
                                                           StoreSlot home, Uuid uuid,
                                                           uint32_t generation) {
  Store* store = &stores->at(home);
  CO_ASSIGN_OR_RETURN(VersionedHeader found, co_await ReadHeader(store, uuid, ReadFor::kAct));
  const uint32_t now = found.header.generation;
  if (now < generation || now - generation > kMostUnheard) {
    co_return Status(Code::kFenced,
                     fmt::format("volume {} was taken over by another node (generation {}, ours is "
                                 "{})",
                                 found.header.name, now, generation));
  }
  const Takeover how{.adopt_wait_ns = kAdoptWait, .is_first = false};
  co_return co_await Open(env, stores, home, std::move(found), how);
}

Task<Result<std::unique_ptr<VolumeMap>>> VolumeMap::Open(Env* env, StoreSet* stores, StoreSlot home,
                                                         VersionedHeader found, Takeover how) {
  Store* store = &stores->at(home);
  CO_RETURN_IF_ERROR(co_await CheckCurrentIsThere(store, found.header));
  std::unique_ptr<VolumeMap> map(new VolumeMap(env, stores, home, found));
  map->geometry_.writable = true;
  const Status status = co_await map->TakeOver(how);
  co_await store->DisownLog(found.header.journal());
  // A composer that has it open writes to it meanwhile, and tries to open the map once more.
  const bool is_wanted = !status.ok() && !how.is_first;
  if (!is_wanted && (!status.ok() || map->geometry_.own != found.header.blob())) {
    co_await store->Disown(found.header.blob());
  }
  if (!is_wanted && !status.ok()) {
    co_await store->Disown(WriteLogOf(found.header.uuid, found.header.opening));
  }
  if (!status.ok()) {
    co_await map->DisownAll();
    co_return status;
  }
  if (map->wants_fold()) map->FoldInBackground();
  co_return map;
}

// If it fails its caller gives up what was adopted, wherever it stopped.
Task<Status> VolumeMap::TakeOver(Takeover how) {
  const Header found = header_.header;
  Store* store = &stores_->at(home_);
  // From here on nobody else writes to what the header names as current: it is ours, or sealed.
  Status adopted = co_await store->Adopt(found.blob(), how.adopt_wait_ns);
  if (adopted.ok()) adopted = co_await store->AdoptLog(found.journal(), how.adopt_wait_ns);
  const bool sealed = how.is_first && adopted.code() == Code::kFenced;
  if (!sealed) CO_RETURN_IF_ERROR(adopted.With("volume " + found.name));
  CO_ASSIGN_OR_RETURN(header_, co_await ReadHeader(store, found.uuid, ReadFor::kAct));
  if (header_.header.generation != found.generation) {
    co_return Status(Code::kBusy,
                     fmt::format("volume {} is being opened by another node", found.name));
  }
  CO_RETURN_IF_ERROR(co_await LoadMap());
  CO_RETURN_IF_ERROR(co_await RecoverCurrentJournal(how, sealed));
  BeginNext();
  co_return OkStatus();
}

// What this map writes to. What is not adopted is none of its business, and no harm is done.
Task<void> VolumeMap::DisownAll() {
  if (journal_) {
    Store& store = stores_->at(geometry_.slot);
    co_await store.DisownLog(journal_->log());
    co_await store.Disown(active_->journal.blob());
    // Adopted by who writes to the volume, if at all.
    co_await store.Disown(WriteLogOf(header_.header.uuid, header_.header.opening));
  }
  co_await AbandonNext();
  if (nodes_adopted_) {
    const LogId nodes = LogId::Nodes(header_.header.uuid, header_.header.node_sequence);
    co_await stores_->at(home_).DisownLog(nodes);
  }
}

Task<Result<std::unique_ptr<VolumeMap>>> VolumeMap::OpenFrozen(Env* env, StoreSet* stores,
                                                               StoreSlot home, Uuid uuid) {
  Store* store = &stores->at(home);
  CO_ASSIGN_OR_RETURN(VersionedHeader header, co_await ReadHeader(store, uuid, ReadFor::kAct));
  std::unique_ptr<VolumeMap> map(new VolumeMap(env, stores, home, std::move(header)));
  CO_RETURN_IF_ERROR(co_await map->LoadMap());
  map->RefreshGeometry();
  co_return map;
}

Status VolumeMap::CheckFormat() const {
  const Header& header = header_.header;
  if (header.state == HeaderState::kRemoved) {
    return {Code::kNotFound, fmt::format("{} {} was removed", header.name, header.uuid.ToString())};
  }
  if (geometry_.writable && header.kind != HeaderKind::kVolume) {
    return {Code::kReadOnly, fmt::format("{} is a snapshot", header.name)};
  }
  if (geometry_.writable && IsReadOnlyHere(header.flags)) {
    return {Code::kReadOnly, fmt::format("{} was written by a newer version; this one can only "
                                         "read it",
                                         header.name)};
  }
  return {};
}

Task<Status> VolumeMap::LoadMap() {
  CO_RETURN_IF_ERROR(CheckFormat());
  generation_ = header_.header.generation;
  auto root = co_await ReadRoot(stores_, header_.header.map.root);
  if (!root.ok()) co_return AbsentIsDamage(root.status()).With("map of " + header_.header.name);
  CO_ASSIGN_OR_RETURN(table_, SourceTable::FromRoot(*root, *stores_));
  tree_.SetTop(root->top);
  const std::vector<ReplayJournal> replay = header_.header.map.replay;
  for (const ReplayJournal& journal : replay) CO_RETURN_IF_ERROR(co_await LoadLayer(journal));
  co_return OkStatus();
}

Task<Status> VolumeMap::LoadLayer(ReplayJournal journal) {
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(journal.store));
  const auto bytes = co_await ReadWholeLog(&stores_->at(slot), journal.log(), journal.length);
  if (!bytes.ok()) co_return AbsentIsDamage(bytes.status()).With("map of " + header_.header.name);
  CO_ASSIGN_OR_RETURN(const JournalContent content,
                      ReadPinnedJournal(journal.log(), *bytes, journal.length));
  co_return AddLayer(journal, content.entries);
}

Status VolumeMap::AddLayer(ReplayJournal journal, std::span<const JournalEntry> entries) {
  ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(journal.blob_store));
  auto layer = std::make_unique<Layer>();
  layer->journal = journal;
  ASSIGN_OR_RETURN(layer->own,
                   table_.IndexOf(SourceType::kBlob, journal.owner, journal.epoch, slot, *stores_));
  for (const JournalEntry& entry : entries) {
    const bool own = entry.change == JournalChange::kOwn;
    layer->changes.Set({entry.first, entry.count}, own ? layer->own : kZeroSource);
  }
  layers_.push_back(std::move(layer));
  return {};
}

// No header may name a byte that power could take back.
Task<Status> VolumeMap::SyncCurrent() {
  const Header& header = header_.header;
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(header.epoch_store));
  Store& store = stores_->at(slot);
  Status synced = co_await store.Sync(header.blob());
  // That proves nothing any more, and leaves as little as can be to what power takes back.
  if (header.sync_failed) co_return OkStatus();
  // The journal also if the blob's bytes are lost.
  const Status log_synced = co_await store.SyncLog(header.journal());
  if (synced.ok()) synced = log_synced;
  if (MayHaveLost(log_synced)) synced = log_synced;
  if (!MayHaveLost(synced)) co_return synced;
  const bool was_read_only = !header.read_only_reason.empty();
  CO_RETURN_IF_ERROR(co_await NoteFailedSync(synced));
  co_return was_read_only ? OkStatus() : synced;
}

Task<Status> VolumeMap::NoteFailedSync(const Status& why) {
  const std::string reason = why.ToString().substr(0, kMaxReadOnlyReason);
  const Status noted = co_await SwapHeader([&reason](Header* header) -> Status {
    if (header->read_only_reason.empty()) header->read_only_reason = reason;
    header->sync_failed = true;
    return {};
  });
  co_return noted.With(fmt::format("volume {} could not be synced ({}), and that not be recorded",
                                   header_.header.name, reason));
}

Task<Status> VolumeMap::BeginFold() {
  CO_RETURN_IF_ERROR(co_await SwapHeader([](Header* next) -> Status {
    next->node_sequence += 1;
    return {};
  }));
  RefreshGeometry();
  co_return OkStatus();
}

Task<void> VolumeMap::EndFold() {
  const Header& header = header_.header;
  co_await stores_->at(home_).DisownLog(LogId::Nodes(header.uuid, header.node_sequence));
  nodes_adopted_ = false;
  node_position_ = 0;
  doubtful_nodes_.clear();
}

// What is current begins anew where a sync of it has failed: no later one can be believed. Then its
// journal is folded, into a file that can be synced, and listed nowhere.
Task<Status> VolumeMap::RecoverCurrentJournal(Takeover how, bool sealed) {
  CO_RETURN_IF_ERROR(co_await SyncCurrent());
  const Header& header = header_.header;
  const bool sync_failed = header.sync_failed;
  // What goes on from here is not what a composer knows that has it open.
  if (sync_failed && !how.is_first) {
    co_return Status(Code::kFenced,
                     fmt::format("a sync of volume {} has failed: it is to be opened "
                                 "anew",
                                 header.name));
  }
  const uint32_t opening_before = header.opening;
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(header.epoch_store));
  Store& store = stores_->at(slot);
  const LogId log = header.journal();
  CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await ReadWholeLog(&store, log, kJournalCapacity));
  const CacheIdentity cache = sync_failed ? CacheIdentity{} : store.info().cache;
  const JournalContent content =
      RecoverJournal(log, bytes, cache, store.info().capabilities.durable_at_ack);
  if (content.damaged) {
    co_return Status(Code::kCorrupt,
                     fmt::format("volume {}: {} has lost flushed changes: {}", header.name,
                                 log.ToString(), content.stopped.message()));
  }
  if (content.stopped.code() == Code::kUnsupported) {
    co_return content.stopped.With(fmt::format("volume {}: {}", header.name, log.ToString()));
  }
  // Who has opened it goes on in its write log.
  SavedWrites saved;
  if (how.is_first) {
    CO_ASSIGN_OR_RETURN(saved, co_await ReadSavedWrites(sync_failed));
  }
  ReplayJournal pinned{header.uuid,           header.epoch,       header.generation,
                       header.epoch_store,    header.epoch_store, content.length,
                       content.entries.size()};
  const bool fits =
      layers_.size() < kMaxReplayJournals && frozen_entries() + pinned.entries <= kMaxReplayEntries;
  std::optional<Fold> fold;
  if (pinned.entries > 0 && (sync_failed || !fits)) {
    CO_RETURN_IF_ERROR(co_await BeginFold());
    if (sync_failed) {
      CO_RETURN_IF_ERROR(AddLayer(pinned, content.entries));
      CO_ASSIGN_OR_RETURN(fold, co_await MakeFold(layers_.size()));
    } else {
      CO_RETURN_IF_ERROR(co_await FoldOldest(layers_.size()));
    }
    co_await EndFold();
  }
  // Flushed writes stay in the log until they can be put where they belong.
  const bool replays = !saved.records.empty() && !planted::Has(planted::Bug::kNoReplay);
  Status prepared = co_await PrepareNext(sealed || sync_failed);
  if (prepared.ok() && replays) prepared = co_await Replay(saved);
  if (!prepared.ok() && replays) {
    co_return prepared.With(fmt::format(
        "volume {} has flushed writes in its write log, which wait until they can be replayed",
        header.name));
  }
  CO_RETURN_IF_ERROR(prepared);
  const LogId next_journal = next_->journal->log();
  CO_RETURN_IF_ERROR(co_await SwapHeader([&](Header* next) -> Status {
    if (next->opening != opening_before || next->sync_failed != sync_failed) {
      return {Code::kBusy, "its holder has gone on while it was opened"};
    }
    if (fold) {
      next->map.root = fold->root;
      next->map.replay.clear();
    } else if (pinned.entries > 0) {
      next->map.replay.push_back(pinned);
    }
    next->generation = next_journal.generation;
    next->epoch = next_journal.epoch;
    next->begun = true;
    if (how.is_first) next->opening = next_journal.generation;
    next->sync_failed = false;
    next->node_sequence += 1;
    return {};
  }));
  if (fold) ApplyFold(*fold);
  if (!fold && pinned.entries > 0) CO_RETURN_IF_ERROR(co_await LoadLayer(pinned));
  if (saved.is_ours) background_.Run(DropWriteLog(slot, opening_before));
  co_return OkStatus();
}

void VolumeMap::RefreshGeometry() {
  const Header& header = header_.header;
  geometry_.uuid = header.uuid;
  geometry_.name = header.name;
  geometry_.size = header.size;
  geometry_.logical_block = header.logical_block;
  geometry_.physical_block = header.physical_block;
  geometry_.own = header.blob();
  geometry_.generation = header.generation;
  // One that has failed stays so, whether its header knows it yet or not.
  if (geometry_.read_only_reason.empty()) geometry_.read_only_reason = header.read_only_reason;
  if (const auto slot = stores_->Find(header.epoch_store); slot.ok()) geometry_.slot = *slot;
}

}  // namespace atl
