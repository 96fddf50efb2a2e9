// SPDX-License-Identifier: Apache-2.0
//
// The map of one open resource: a tree (folded), over it the changes of the journals of the replay
// list (frozen layers, oldest first), over them the changes of the current journal (active layer).
//
//   lookup:      active -> frozen layers, newest to oldest -> tree -> zero
//   pin:         active becomes a frozen layer; a new, empty journal takes its place
//   checkpoint:  the oldest layers are folded into new nodes; one header swap makes them the tree
//
// Folding runs in the background and never holds up a lookup or a commit.
//
// Threads: one executor thread. Environment, stores and this outlive all calls.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peers/format/write_log_reader.h"
#include "peers/mapper/header_store.h"
#include "peers/mapper/journal_log.h"
#include "peers/mapper/map_api.h"
#include "peers/mapper/map_tree.h"
#include "peers/mapper/source_table.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

class VolumeMap final : public MapApi {
 public:
  // How long a dead predecessor's I/O is waited for.
  static constexpr int64_t kAdoptWait = 10 * kSecond;
  // Above either, a pin is wanted; above both of the second line, a fold.
  static constexpr uint64_t kPinJournalBytes = kJournalCapacity / 4 * 3;
  static constexpr size_t kPinMemoryBytes = 32 * kMiB;
  static constexpr size_t kFoldLayers = 4;
  static constexpr uint64_t kFoldEntries = 64 * 1024;
  // How many epochs or generations the next one may skip. Each failed sync of a new journal costs
  // one until the store is opened anew.
  static constexpr uint32_t kMostAhead = 64;
  // How many generations a mapper that died may have begun that its composer has not heard of: by
  // one pin, and by mappers that died when they had just opened it again.
  static constexpr uint32_t kMostUnheard = 2 * kMostAhead;
  // Sources kept free for node blobs and for what is not folded yet when a new epoch begins.
  static constexpr size_t kSourceMargin = 64;

  // Opens a volume for writing. The caller holds its lock record and knows that the holder before
  // is dead or has released it, or finds out here: kBusy if it still holds the blob after
  // `adopt_wait_ns`. Recovers what an unclean end has left, and pins it. `pending` operations are
  // the caller's to settle, before or after.
  static Task<Result<std::unique_ptr<VolumeMap>>> OpenWritable(Env* env, StoreSet* stores,
                                                               StoreSlot home, Uuid uuid,
                                                               int64_t adopt_wait_ns);
  // Opens a volume again whose map was open, for the same composer, in a process that has died: the
  // composer has the lock and goes on where it was, so what is current must be what it knows.
  // `generation` is the last one that it has heard of; a few more may have been begun since.
  // kFenced if the volume is another one's by now.
  static Task<Result<std::unique_ptr<VolumeMap>>> Reopen(Env* env, StoreSet* stores, StoreSlot home,
                                                         Uuid uuid, uint32_t generation);
  // Opens a map that nobody changes any more: a snapshot, or a volume that only an administrator's
  // look is for.
  static Task<Result<std::unique_ptr<VolumeMap>>> OpenFrozen(Env* env, StoreSet* stores,
                                                             StoreSlot home, Uuid uuid);
  ~VolumeMap() override;

  const MapGeometry& geometry() const override { return geometry_; }
  bool TryTranslate(ByteRange range, MapPieces* out) override;
  Task<Status> Translate(ByteRange range, MapPieces* out) override;
  bool TryAdmit() override;
  Task<Status> Admit() override;
  void Leave() override;
  Task<Status> Commit(GrainRange range, JournalChange change) override;
  bool IsBarriered(GrainRange range) override;
  uint64_t NotePosition() override;
  uint64_t position() const override { return journal_ ? journal_->position() : 0; }
  Task<Status> Barrier(uint64_t position) override;
  bool wants_pin() const override;
  Task<Status> PreparePin(PinChange change) override;
  Task<Status> Pin(PinChange change) override;
  Task<Status> Grow(uint64_t size) override;
  Task<Status> ClearPending(const Uuid& uuid) override;
  Task<Status> SetName(const Uuid& name_space, std::string name) override;
  Task<Status> SetReadOnly(std::string reason, bool sync_failed) override;
  Task<Status> EndOpening() override;
  void Abandon(std::string reason) override;
  const Header& header() const override { return header_.header; }
  Task<Status> Close() override;

  // Folds all frozen layers; for tests and for a close that leaves little to replay.
  Task<Status> FoldAll();
  size_t layer_count() const { return layers_.size(); }
  size_t live_sources() const { return table_.live_count(); }

 private:
  // The changes of one journal.
  struct Layer {
    ReplayJournal journal;
    SourceIndex own = kZeroSource;
    IntervalMap changes;
  };

  VolumeMap(Env* env, StoreSet* stores, StoreSlot home, VersionedHeader header);

  // --- volume_map_open.cc
  struct Takeover {
    int64_t adopt_wait_ns = 0;
    // By who does not have it open already. Then it may be sealed, by a break of its lock: a new
    // epoch begins; and what is in the write log was saved by somebody who has ended.
    bool is_first = true;
  };
  static Task<Result<std::unique_ptr<VolumeMap>>> Open(Env* env, StoreSet* stores, StoreSlot home,
                                                       VersionedHeader found, Takeover how);
  Task<Status> TakeOver(Takeover how);
  Task<void> DisownAll();
  Task<Status> LoadMap();
  Task<Status> LoadLayer(ReplayJournal journal);
  Status AddLayer(ReplayJournal journal, std::span<const JournalEntry> entries);
  // `sealed`: the lock was broken and a new epoch begins behind what counts.
  Task<Status> RecoverCurrentJournal(Takeover how, bool sealed);
  // What is current is durable when this ends well, or the header says that it may not be.
  Task<Status> SyncCurrent();
  // For the next open, to which the store may tell nothing of it.
  Task<Status> NoteFailedSync(const Status& why);
  // Folds in the middle of an open, into a node blob of its own.
  Task<Status> BeginFold();
  Task<void> EndFold();
  Status CheckFormat() const;
  void RefreshGeometry();

  // --- volume_map_replay.cc
  // What counts of a write log.
  struct SavedWrites {
    BlobId log;
    std::vector<PlacedRecord> records;
    bool is_ours = false;  // There is a log, and nobody has sealed it.
  };
  // Of the opening before. As long as the cache lives on that has it already.
  Task<Result<SavedWrites>> ReadSavedWrites(bool even_if_cached);
  // Puts it into what comes next, durably, before the header names that.
  Task<Status> Replay(const SavedWrites& saved);
  Task<void> DropWriteLog(StoreSlot slot, uint32_t opening);

  // --- volume_map_fold.cc
  // What a fold has made.
  struct Fold {
    RootPointer root;
    NodePointer top;
    SourceTable::CountChanges counts;
    size_t layers = 0;
  };
  Task<Status> FoldOldest(size_t count);
  Task<Status> FoldLocked(size_t count);
  // Durable nodes that no header names yet.
  Task<Result<Fold>> MakeFold(size_t count);
  Task<Result<Fold>> WriteFold(LogId log, SourceIndex index, const IntervalMap* changes,
                               bool rewrite_all);
  Task<Status> PublishFold(const Fold& fold);
  // The header has it: now the map has it.
  void ApplyFold(const Fold& fold);
  Task<Status> SettleFold();
  void FoldInBackground();
  Task<void> BackgroundFold();
  bool wants_fold() const;
  uint64_t frozen_entries() const;

  // --- volume_map_pin.cc
  // No new epoch may begin: the rest of the table is for node blobs.
  bool is_near_source_limit() const;
  // What the next header will name is made, durably, before it does: what a header names is there,
  // or it is lost. If none comes it stays for the next attempt, or for the next open.
  Task<Status> PrepareNext(bool new_epoch);
  Task<Status> MakeNext(bool new_epoch, uint32_t ahead);
  bool IsPrepared(bool new_epoch) const;
  // Not removed: a header whose fate is unknown may name it.
  Task<void> AbandonNext();
  // The header names it.
  void BeginNext();
  // `length`: what counts of it.
  Task<void> GiveUpOld(std::shared_ptr<JournalLog> journal, uint64_t length,
                       std::optional<BlobId> blob);

  // --- volume_map.cc
  uint64_t FindRuns(GrainRange range, MapTree::Missing* missing);
  bool AppendPieces(ByteRange range, MapPieces* out) const;
  Status UnreadableSource() const;
  void ApplyEntry(Layer* layer, const JournalEntry& entry);
  // What a journal has to have room for when `admitted` have come.
  static uint64_t LengthFor(uint64_t position, uint64_t admitted);
  // Swaps a header that is still of this generation.
  Task<Status> SwapHeader(HeaderChange change);
  // Finds out about a swap that is in doubt.
  Task<Status> SettleDoubt();

  Env* env_;
  StoreSet* stores_;
  StoreSlot home_;
  VersionedHeader header_;
  uint32_t generation_ = 0;  // Of this open; another one in the record means that we are fenced.
  MapGeometry geometry_;

  SourceTable table_;
  MapTree tree_;
  std::deque<std::unique_ptr<Layer>> layers_;
  std::unique_ptr<Layer> active_;
  std::shared_ptr<JournalLog> journal_;  // Shared with who waits for room in it, over a pin.
  struct Next {
    std::shared_ptr<JournalLog> journal;
    BlobId blob;
    StoreSlot slot = 0;
    std::unique_ptr<Layer> layer;
    bool new_blob = false;  // Else the blob stays the current one.
    bool made = false;
  };
  std::optional<Next> next_;
  Mutex next_mutex_;  // Held while it is made.

  // Commits that no completed barrier covers: since the last NotePosition, and before it.
  IntervalMap unbarriered_;
  IntervalMap syncing_;
  uint64_t barriered_position_ = 0;
  uint64_t barriered_entries_ = 0;
  uint64_t noted_entries_ = 0;

  uint64_t admitted_ = 0;
  bool pinning_ = false;  // Those who come now are for the next journal.
  Signal journal_changed_;

  Mutex header_mutex_;
  Mutex fold_mutex_;
  bool fold_scheduled_ = false;
  std::optional<Fold> doubtful_fold_;  // Maybe published.
  uint64_t node_position_ = 0;         // Where the current node blob goes on.
  Bytes doubtful_nodes_;               // Maybe there already, from an append that failed.
  bool nodes_adopted_ = false;
  TaskGroup background_;

  // Scratch of FindRuns, kept so that a lookup allocates nothing.
  std::vector<GrainRun> runs_;
  std::vector<GrainRun> found_;
  std::vector<GrainRange> gaps_;
  std::vector<GrainRange> next_gaps_;
};

}  // namespace atl
