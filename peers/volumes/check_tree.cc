// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/check_tree.h"

#include <fmt/format.h>

#include <algorithm>

#include "peers/mapper/header_store.h"

namespace atl {

void TreeWalk::Wrong(std::string problem) {
  if (problems_.size() < kMaxProblems) problems_.push_back(std::move(problem));
}

void TreeWalk::Count(SourceIndex source, uint64_t grains) {
  if (source == kZeroSource) return;
  const auto found = root_->sources.find(source);
  if (found == root_->sources.end() || found->second.type == SourceType::kNodes) {
    Wrong(fmt::format("a map node names source {}, which is {}", source,
                      found == root_->sources.end() ? "not in the map's table" : "a node blob"));
    return;
  }
  counts_[source] += grains;
}

Task<void> TreeWalk::Run() {
  const Spot top{root_->top, kTopLevel, 0};
  co_await Visit(top);
}

Task<void> TreeWalk::Visit(Spot spot) {
  if (pace_->cancelled()) co_return;
  if (!spot.pointer.is_node()) {
    Count(spot.pointer.source(), SpanOf(spot.level));
    co_return;
  }
  const auto found = root_->sources.find(spot.pointer.blob());
  if (found == root_->sources.end() || found->second.type != SourceType::kNodes) {
    Wrong(fmt::format("a map node is said to be in source {}, which is no node blob",
                      spot.pointer.blob()));
    co_return;
  }
  const auto slot = stores_->Find(found->second.store);
  if (!slot.ok()) {
    Wrong(slot.status().ToString());
    co_return;
  }
  ++nodes_;
  ++counts_[spot.pointer.blob()];
  const Place place{*slot, {found->second.nodes(), spot.pointer.offset()}};
  if (spot.level == 0) {
    co_await VisitLeaf(spot, place);
  } else {
    co_await VisitInner(spot, place);
  }
  co_await pace_->Spend(kMaxNodeBytes);
}

Task<void> TreeWalk::VisitLeaf(Spot spot, Place place) {
  const auto decode = [&](ConstSpan bytes) { return DecodeLeaf(bytes, spot.first, place.node); };
  const auto leaf = co_await Get<Leaf>(place, decode);
  if (!leaf.ok()) {
    Wrong(leaf.status().ToString());
    co_return;
  }
  const auto& sources = leaf->sources;
  for (size_t at = 0, end = 0; at < sources.size(); at = end) {
    while (end < sources.size() && sources[end] == sources[at]) ++end;
    Count(sources[at], end - at);
  }
}

Task<void> TreeWalk::VisitInner(Spot spot, Place place) {
  const auto decode = [&](ConstSpan bytes) {
    return DecodeInner(bytes, spot.level, spot.first, place.node);
  };
  const auto inner = co_await Get<Inner>(place, decode);
  if (!inner.ok()) {
    Wrong(inner.status().ToString());
    co_return;
  }
  const uint64_t span = SpanOf(spot.level - 1);
  for (uint64_t i = 0; i < kFanout; ++i) {
    const Spot child{inner->children[i], spot.level - 1, spot.first + i * span};
    if (child.pointer.is_node()) {
      co_await Visit(child);
    } else {
      Count(child.pointer.source(), span);
    }
  }
}

// --- Reading -------------------------------------------------------------------------------------

// A window may be older than the node: what is wrong in it is read again.
template <typename Node, typename Decode>
Task<Result<Node>> TreeWalk::Get(Place place, Decode decode) {
  std::byte raw[kMaxNodeBytes];
  auto length = co_await Read(place, MutSpan(raw));
  if (length.ok()) {
    auto node = decode(ConstSpan(raw).first(*length));
    if (node.ok()) co_return std::move(node);
  }
  length = co_await ReadDirectly(place, MutSpan(raw));
  if (!length.ok()) co_return length.status();
  co_return decode(ConstSpan(raw).first(*length));
}

Task<Result<ConstSpan>> TreeWalk::Window(Place place, uint64_t offset) {
  const WindowKey key{place.node.log, offset};
  if (const auto found = windows_.find(key); found != windows_.end()) {
    co_return ConstSpan(found->second);
  }
  Bytes bytes(kWindow);
  Store& store = stores_->at(place.slot);
  const auto got = co_await store.ReadLog(place.node.log, offset, MutSpan(bytes));
  if (!got.ok()) co_return AbsentIsDamage(got.status());
  bytes.resize(*got);
  if (window_order_.size() < kWindows) {
    window_order_.push_back(key);
  } else {
    windows_.erase(std::exchange(window_order_[next_window_], key));
    next_window_ = (next_window_ + 1) % kWindows;
  }
  co_return ConstSpan(windows_.emplace(key, std::move(bytes)).first->second);
}

Task<Result<size_t>> TreeWalk::Read(Place place, MutSpan out) {
  const uint64_t begin = AlignDown(place.node.offset, kWindow);
  const auto window = co_await Window(place, begin);
  if (!window.ok()) co_return window.status();
  const uint64_t at = place.node.offset - begin;
  if (at + kNodeHeaderBytes <= window->size()) {
    const ConstSpan rest = window->subspan(at);
    const auto length = NodeLength(rest);
    if (length.ok() && *length <= rest.size()) {
      std::copy_n(rest.begin(), *length, out.begin());
      co_return *length;
    }
  }
  co_return co_await ReadDirectly(place, out);
}

Task<Result<size_t>> TreeWalk::ReadDirectly(Place place, MutSpan out) {
  const NodePlace& node = place.node;
  const auto got = co_await stores_->at(place.slot).ReadLog(node.log, node.offset, out);
  if (!got.ok()) co_return AbsentIsDamage(got.status());
  const Status ends(Code::kCorrupt, fmt::format("{} ends inside of the node at {}",
                                                node.log.ToString(), node.offset));
  if (*got < kNodeHeaderBytes) co_return ends;
  const auto length = NodeLength(out.first(*got));
  if (!length.ok()) {
    co_return length.status().With(
        fmt::format("node at {} of {}", node.offset, node.log.ToString()));
  }
  if (*length > *got) co_return ends;
  co_return *length;
}

}  // namespace atl
