// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: the oldest layers become part of the tree.
#include <fmt/format.h>

#include <utility>

#include "peers/mapper/tree_folder.h"
#include "peers/mapper/volume_map.h"

namespace atl {

uint64_t VolumeMap::frozen_entries() const {
  uint64_t entries = 0;
  for (const auto& layer : layers_) entries += layer->journal.entries;
  return entries;
}

bool VolumeMap::wants_fold() const {
  return layers_.size() >= kFoldLayers || frozen_entries() > kFoldEntries;
}

void VolumeMap::FoldInBackground() {
  if (fold_scheduled_) return;
  fold_scheduled_ = true;
  background_.Run(BackgroundFold());
}

Task<void> VolumeMap::BackgroundFold() {
  co_await Yield{};  // Not inside of somebody's gate.
  // If it fails nothing is lost but time: the next pin that needs the room says so.
  (void)co_await FoldOldest(layers_.size());
  fold_scheduled_ = false;
}

Task<Status> VolumeMap::FoldAll() { co_return co_await FoldOldest(layers_.size()); }

Task<Status> VolumeMap::FoldOldest(size_t count) {
  const auto lock = co_await fold_mutex_.Lock();
  CO_RETURN_IF_ERROR(co_await SettleFold());
  count = std::min(count, layers_.size());
  if (count == 0) co_return OkStatus();
  co_return (co_await FoldLocked(count)).With("checkpoint of " + geometry_.name);
}

// A fold that the header has and the map has not would keep every later one from fitting.
Task<Status> VolumeMap::SettleFold() {
  if (!doubtful_fold_) co_return OkStatus();
  const auto lock = co_await header_mutex_.Lock();
  CO_RETURN_IF_ERROR(co_await SettleDoubt());
  const Fold fold = *std::move(doubtful_fold_);
  doubtful_fold_.reset();
  if (header_.header.map.root == fold.root) ApplyFold(fold);
  co_return OkStatus();
}

Task<Status> VolumeMap::FoldLocked(size_t count) {
  CO_ASSIGN_OR_RETURN(const Fold fold, co_await MakeFold(count));
  const Status published = co_await PublishFold(fold);
  if (published.ok()) {
    ApplyFold(fold);
  } else if (header_.doubt) {
    doubtful_fold_ = fold;
  }
  co_return published;
}

Task<Result<VolumeMap::Fold>> VolumeMap::MakeFold(size_t count) {
  const uint32_t sequence = header_.header.node_sequence;
  const LogId log = LogId::Nodes(geometry_.uuid, sequence);
  Store& store = stores_->at(home_);
  if (!nodes_adopted_) {
    CO_RETURN_IF_ERROR(co_await store.AdoptLog(log, 0));
    nodes_adopted_ = true;
  }
  CO_ASSIGN_OR_RETURN(const SourceIndex index, table_.IndexOf(SourceType::kNodes, geometry_.uuid,
                                                              sequence, home_, *stores_));
  // Newer layers win.
  IntervalMap merged;
  for (size_t i = 0; count > 1 && i < count; ++i) {
    GrainRun run;
    uint64_t steps = 0;
    for (uint64_t at = 0; layers_[i]->changes.FirstAfter(at, &run); at = run.range.end()) {
      merged.Set(run.range, run.source);
      if (++steps % 1024 == 0) co_await Yield{};
    }
  }
  const IntervalMap* changes = count > 1 ? &merged : &layers_[0]->changes;
  auto fold = co_await WriteFold(log, index, changes, false);
  // The node blobs of earlier lives have filled the table: one takes the place of all of them.
  if (fold.code() == Code::kLimit) fold = co_await WriteFold(log, index, changes, true);
  if (!fold.ok()) co_return fold.status();
  fold->layers = count;
  CO_RETURN_IF_ERROR(co_await store.SyncLog(log));
  co_return *std::move(fold);
}

Task<Result<VolumeMap::Fold>> VolumeMap::WriteFold(LogId log, SourceIndex index,
                                                   const IntervalMap* changes, bool rewrite_all) {
  Store& store = stores_->at(home_);
  if (!doubtful_nodes_.empty()) {
    CO_RETURN_IF_ERROR(co_await store.Append(log, node_position_, doubtful_nodes_));
    node_position_ += std::exchange(doubtful_nodes_, {}).size();
  }
  NodeWriter writer(&store, log, index, node_position_);
  TreeFolder folder(&tree_, changes, &writer);
  if (rewrite_all) folder.RewriteAll();
  auto top = co_await folder.Fold();
  if (!top.ok()) {
    node_position_ = writer.position();
    doubtful_nodes_ = writer.TakeDoubtful();
    co_return top.status();
  }
  auto root = table_.ToRoot(folder.counts());
  Bytes encoded;
  const NodePlace place = writer.place();
  if (root.ok()) {
    root->top = *top;
    CO_ASSIGN_OR_RETURN(encoded, EncodeRoot(*root, place));
    writer.out()->Raw(encoded);
  }
  const Status written = co_await writer.Flush();
  node_position_ = writer.position();
  doubtful_nodes_ = writer.TakeDoubtful();
  if (!root.ok()) co_return root.status();
  CO_RETURN_IF_ERROR(written);
  const auto length = static_cast<uint32_t>(encoded.size());
  const RootPointer pointer{geometry_.uuid, log.epoch, store.info().uuid,
                            place.offset,   length,    RootChecksum(encoded)};
  co_return Fold{pointer, *top, folder.counts()};
}

void VolumeMap::ApplyFold(const Fold& fold) {
  table_.Apply(fold.counts);
  tree_.SetTop(fold.top);
  layers_.erase(layers_.begin(), layers_.begin() + static_cast<ptrdiff_t>(fold.layers));
}

Task<Status> VolumeMap::PublishFold(const Fold& fold) {
  const RootPointer old_root = header_.header.map.root;
  std::vector<ReplayJournal> folded;
  folded.reserve(fold.layers);
  for (size_t i = 0; i < fold.layers; ++i) folded.push_back(layers_[i]->journal);
  co_return co_await SwapHeader([&](Header* header) -> Status {
    auto& replay = header->map.replay;
    const bool fits = header->map.root == old_root && replay.size() >= folded.size() &&
                      std::equal(folded.begin(), folded.end(), replay.begin());
    if (!fits) return {Code::kConflict, "the map has changed meanwhile"};
    replay.erase(replay.begin(), replay.begin() + static_cast<ptrdiff_t>(folded.size()));
    header->map.root = fold.root;
    return {};
  });
}

}  // namespace atl
