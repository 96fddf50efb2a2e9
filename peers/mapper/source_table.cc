// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/source_table.h"

#include <fmt/format.h>

namespace atl {

Result<SourceTable> SourceTable::FromRoot(const Root& root, const StoreSet& stores) {
  SourceTable table;
  table.entries_.resize(root.next_index);
  for (const auto& [index, source] : root.sources) {
    if (index == kZeroSource || index >= root.next_index) {
      return Status(Code::kCorrupt, fmt::format("root names source index {}", index));
    }
    ASSIGN_OR_RETURN(const StoreSlot slot, stores.Find(source.store));
    table.entries_[index] = Entry{source, slot};
    table.by_key_[{source.type, source.owner, source.epoch}] = index;
  }
  return table;
}

Result<SourceIndex> SourceTable::IndexOf(SourceType type, const Uuid& owner, uint32_t epoch,
                                         StoreSlot slot, const StoreSet& stores) {
  const Key key{type, owner, epoch};
  if (const auto found = by_key_.find(key); found != by_key_.end()) return found->second;
  if (entries_.size() > kMaxSourceIndex) {
    return Status(Code::kLimit,
                  fmt::format("this map has used all {} source indices of its lineage; copy the "
                              "volume with export and import to go on",
                              kMaxSourceIndex));
  }
  const auto index = static_cast<SourceIndex>(entries_.size());
  Source source{.type = type, .owner = owner, .epoch = epoch};
  source.store = stores.at(slot).info().uuid;
  entries_.push_back(Entry{source, slot});
  by_key_[key] = index;
  return index;
}

const SourceTable::Entry* SourceTable::Find(SourceIndex index) const {
  if (index >= entries_.size() || !entries_[index]) return nullptr;
  return &*entries_[index];
}

Result<Root> SourceTable::ToRoot(const CountChanges& changes) const {
  for (const auto& [index, delta] : changes) {
    if (Find(index) != nullptr) continue;
    return Status(
        Code::kCorrupt,
        fmt::format("a map node names source {}, which is not in the map's table", index));
  }
  Root root;
  root.next_index = next_index();
  for (size_t i = 1; i < entries_.size(); ++i) {
    if (!entries_[i]) continue;
    const auto index = static_cast<SourceIndex>(i);
    Source source = entries_[i]->source;
    const auto change = changes.find(index);
    const int64_t delta = change == changes.end() ? 0 : change->second;
    if (delta < 0 && source.count < static_cast<uint64_t>(-delta)) {
      return Status(Code::kCorrupt, fmt::format("count of source {} ({}) would be negative", index,
                                                source.blob().ToString()));
    }
    source.count += static_cast<uint64_t>(delta);
    if (source.count > 0) root.sources.emplace(index, source);
  }
  if (root.sources.size() > kMaxSources) {
    return Status(Code::kLimit, fmt::format("a map has at most {} sources", kMaxSources));
  }
  return root;
}

void SourceTable::Apply(const CountChanges& changes) {
  for (const auto& [index, delta] : changes) {
    CHECK(index < entries_.size() && entries_[index].has_value());
    entries_[index]->source.count += static_cast<uint64_t>(delta);
  }
}

size_t SourceTable::live_count() const {
  size_t count = 0;
  for (const auto& entry : entries_) count += entry && entry->source.count > 0;
  return count;
}

}  // namespace atl
