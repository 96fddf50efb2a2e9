// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/map_tree.h"

#include <fmt/format.h>

#include <algorithm>

#include "peers/mapper/header_store.h"

namespace atl {
namespace {

GrainRange Intersect(GrainRange a, GrainRange b) {
  const uint64_t low = std::max(a.first, b.first);
  const uint64_t high = std::min(a.end(), b.end());
  return {low, high > low ? high - low : 0};
}

void AppendLeaf(const Leaf& leaf, uint64_t first, GrainRange range, std::vector<GrainRun>* out) {
  for (uint64_t grain = range.first; grain < range.end(); ++grain) {
    AppendRun({{grain, 1}, leaf.sources[grain - first]}, out);
  }
}

}  // namespace

void AppendRun(GrainRun run, std::vector<GrainRun>* out) {
  if (run.range.count == 0) return;
  if (!out->empty() && out->back().source == run.source &&
      out->back().range.end() == run.range.first) {
    out->back().range.count += run.range.count;
    return;
  }
  out->push_back(run);
}

const MapTree::Node* MapTree::Cached(NodePointer pointer, int level, uint64_t first) const {
  const Node* node = nullptr;
  if (const auto young = young_.find(pointer.raw()); young != young_.end()) {
    node = young->second.get();
  } else if (const auto old = old_.find(pointer.raw()); old != old_.end()) {
    node = old->second.get();
    if (young_.size() < kCachedNodes / 2) {
      young_[pointer.raw()] = std::move(old->second);
      old_.erase(old);
    }
  }
  // A damaged map may lead to one node in two places.
  return node != nullptr && node->level == level && node->first == first ? node : nullptr;
}

const Leaf* MapTree::Finger(uint64_t grain) const {
  if (!fingers_) return nullptr;
  const FingerPlace& place = (*fingers_)[grain / kLeafGrains % kFingers];
  return place.first == AlignDown(grain, kLeafGrains) ? place.leaf : nullptr;
}

void MapTree::SetFinger(uint64_t first, const Leaf* leaf) const {
  if (!fingers_) fingers_ = std::make_unique<Fingers>();
  (*fingers_)[first / kLeafGrains % kFingers] = {first, leaf};
}

bool MapTree::Walk(NodePointer pointer, int level, uint64_t first, GrainRange range,
                   std::vector<GrainRun>* out, Missing* missing) const {
  if (!pointer.is_node()) {
    AppendRun({range, pointer.source()}, out);
    return true;
  }
  const Node* node = Cached(pointer, level, first);
  if (node == nullptr) {
    *missing = {pointer, level, first};
    return false;
  }
  if (level == 0) {
    const Leaf& leaf = std::get<Leaf>(node->body);
    SetFinger(first, &leaf);
    AppendLeaf(leaf, first, range, out);
    return true;
  }
  const uint64_t span = SpanOf(level - 1);
  const auto& inner = std::get<Inner>(node->body);
  for (uint64_t at = range.first; at < range.end();) {
    const uint64_t child_first = AlignDown(at, span);
    const GrainRange part = Intersect(range, {child_first, span});
    const NodePointer child = inner.children[ChildOf(at, level)];
    if (!Walk(child, level - 1, child_first, part, out, missing)) return false;
    at = part.end();
  }
  return true;
}

bool MapTree::Find(GrainRange range, std::vector<GrainRun>* out, Missing* missing) const {
  const size_t before = out->size();
  const bool in_one_leaf = range.first / kLeafGrains == (range.end() - 1) / kLeafGrains;
  if (const Leaf* leaf = before == 0 && in_one_leaf ? Finger(range.first) : nullptr) {
    AppendLeaf(*leaf, AlignDown(range.first, kLeafGrains), range, out);
    return true;
  }
  // Joining with what the caller had would hide where this answer begins.
  std::vector<GrainRun> found;
  const bool all = Walk(top_, kTopLevel, 0, range, before == 0 ? out : &found, missing);
  for (const GrainRun& run : found) AppendRun(run, out);
  return all;
}

Task<Status> MapTree::Load(Missing missing) {
  const SourceTable::Entry* entry = sources_->Find(missing.pointer.blob());
  if (entry == nullptr || entry->source.type != SourceType::kNodes) {
    co_return Status(Code::kCorrupt, fmt::format("a map node is said to be in source {}, which is "
                                                 "no node blob",
                                                 missing.pointer.blob()));
  }
  const NodePlace place{entry->source.nodes(), missing.pointer.offset()};
  Store& store = stores_->at(entry->slot);
  std::byte raw[kMaxNodeBytes];
  const MutSpan buffer(raw);
  const auto read = co_await store.ReadLog(place.log, place.offset, buffer);
  if (!read.ok()) co_return AbsentIsDamage(read.status());
  const size_t got = *read;
  if (got < kNodeHeaderBytes) {
    co_return Status(Code::kCorrupt, fmt::format("{} ends before the node at {}",
                                                 place.log.ToString(), place.offset));
  }
  CO_ASSIGN_OR_RETURN(const size_t length, NodeLength(buffer.first(got)));
  if (length > got) {
    co_return Status(Code::kCorrupt, fmt::format("{} ends inside of the node at {}",
                                                 place.log.ToString(), place.offset));
  }
  const ConstSpan bytes = buffer.first(length);
  auto node = std::make_unique<Node>();
  node->level = missing.level;
  node->first = missing.first;
  if (missing.level == 0) {
    CO_ASSIGN_OR_RETURN(node->body, DecodeLeaf(bytes, missing.first, place));
  } else {
    CO_ASSIGN_OR_RETURN(node->body, DecodeInner(bytes, missing.level, missing.first, place));
  }
  // Somebody may have been quicker, and a finger points to what he has put there.
  if (Cached(missing.pointer, missing.level, missing.first) != nullptr) co_return OkStatus();
  if (young_.size() >= kCachedNodes / 2) {
    old_ = std::exchange(young_, {});
    fingers_.reset();
  }
  auto& place_in_cache = young_[missing.pointer.raw()];
  if (place_in_cache) fingers_.reset();  // Of a damaged map: the same node elsewhere.
  place_in_cache = std::move(node);
  co_return OkStatus();
}

Task<Result<Leaf>> MapTree::GetLeaf(NodePointer pointer, uint64_t first) {
  if (Cached(pointer, 0, first) == nullptr) {
    const Missing missing{pointer, 0, first};
    CO_RETURN_IF_ERROR(co_await Load(missing));
  }
  co_return std::get<Leaf>(Cached(pointer, 0, first)->body);
}

Task<Result<Inner>> MapTree::GetInner(NodePointer pointer, int level, uint64_t first) {
  if (Cached(pointer, level, first) == nullptr) {
    const Missing missing{pointer, level, first};
    CO_RETURN_IF_ERROR(co_await Load(missing));
  }
  co_return std::get<Inner>(Cached(pointer, level, first)->body);
}

}  // namespace atl
