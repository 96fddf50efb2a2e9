// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/reach.h"

#include <fmt/format.h>

#include "peers/mapper/root_store.h"

namespace atl {

Task<Result<std::vector<VersionedHeader>>> ReadAllHeaders(Store* store, ReadFor purpose,
                                                          std::map<Uuid, Status>* damaged) {
  std::vector<VersionedHeader> all;
  std::optional<RecordName> after;
  while (true) {
    auto page = co_await store->ListRecords(RecordKind::kHeader, after, kMaxPage);
    if (!page.ok()) co_return page.status();
    for (const RecordKey& key : page->items) {
      auto header = co_await ReadHeader(store, key.uuid(), purpose);
      if (header.code() == Code::kNotFound) continue;  // Removed since it was listed.
      if (header.code() == Code::kCorrupt && damaged != nullptr) {
        damaged->emplace(key.uuid(), header.status());
        continue;
      }
      if (!header.ok()) co_return header.status();
      all.push_back(*std::move(header));
    }
    if (page->last || page->items.empty()) co_return all;
    after = page->items.back().name;
  }
}

Task<Result<std::vector<RecordKey>>> AllKeys(Store* store, RecordKind kind) {
  std::vector<RecordKey> all;
  std::optional<RecordName> after;
  while (true) {
    auto page = co_await store->ListRecords(kind, after, kMaxPage);
    if (!page.ok()) co_return page.status();
    all.insert(all.end(), page->items.begin(), page->items.end());
    if (page->last || page->items.empty()) co_return all;
    after = page->items.back().name;
  }
}

void Reach::Add(const Reach& other) {
  blobs.insert(other.blobs.begin(), other.blobs.end());
  logs.insert(other.logs.begin(), other.logs.end());
  roots.insert(other.roots.begin(), other.roots.end());
  for (const auto& [uuid, seen] : other.volumes) {
    Current& current = volumes.try_emplace(uuid, seen).first->second;
    current.epoch = std::min(current.epoch, seen.epoch);
    current.generation = std::min(current.generation, seen.generation);
  }
}

bool Reach::Keeps(const BlobId& blob) const {
  const auto volume = volumes.find(blob.owner);
  const bool ahead = volume != volumes.end() &&
                     blob.epoch > (IsWriteLog(blob) ? volume->second.generation  // Its opening.
                                                    : volume->second.epoch);
  return ahead || blobs.contains(blob);
}

bool Reach::Keeps(const LogId& log) const {
  const auto volume = volumes.find(log.owner);
  const bool ahead = volume != volumes.end() && log.kind == LogKind::kJournal &&
                     log.generation > volume->second.generation;
  return ahead || logs.contains(log);
}

namespace {

Task<Status> AddMap(StoreSet* stores, MapState map, Reach* reach) {
  const std::pair place(map.root.log(), map.root.offset);
  if (!map.root.absent() && !reach->roots.contains(place)) {
    CO_ASSIGN_OR_RETURN(const Root root, co_await ReadRoot(stores, map.root));
    reach->logs.insert(map.root.log());
    for (const auto& [index, source] : root.sources) {
      if (source.type == SourceType::kNodes) {
        reach->logs.insert(source.nodes());
      } else {
        reach->blobs.insert(source.blob());
      }
    }
    reach->roots.insert(place);
  }
  for (const ReplayJournal& journal : map.replay) {
    reach->logs.insert(journal.log());
    reach->blobs.insert(journal.blob());
  }
  co_return OkStatus();
}

}  // namespace

Task<Status> AddReachOf(StoreSet* stores, Header header, Reach* reach) {
  if (header.state == HeaderState::kRemoved) co_return OkStatus();
  if (header.kind == HeaderKind::kVolume) {
    reach->volumes[header.uuid] = {header.epoch, header.generation};
    if (header.opening != 0) reach->blobs.insert(WriteLogOf(header.uuid, header.opening));
    reach->blobs.insert(header.blob());
    reach->logs.insert(header.journal());
    if (header.node_sequence != 0) {
      reach->logs.insert(LogId::Nodes(header.uuid, header.node_sequence));
    }
  }
  CO_RETURN_IF_ERROR((co_await AddMap(stores, header.map, reach)).With(header.name));
  if (!header.pending) co_return OkStatus();
  co_return (co_await AddMap(stores, header.pending->map, reach)).With(header.name);
}

Task<Result<std::vector<Source>>> SourcesOf(StoreSet* stores, Header header) {
  CO_ASSIGN_OR_RETURN(const Root root, co_await ReadRoot(stores, header.map.root));
  std::vector<Source> sources;
  std::set<BlobId> seen;
  for (const auto& [index, source] : root.sources) {
    if (source.type == SourceType::kNodes || !seen.insert(source.blob()).second) continue;
    sources.push_back(source);
  }
  const auto add = [&](const BlobId& blob, const Uuid& store) {
    if (!seen.insert(blob).second) return;
    Source source;
    source.owner = blob.owner;
    source.epoch = blob.epoch;
    source.store = store;
    sources.push_back(std::move(source));
  };
  for (const ReplayJournal& journal : header.map.replay) add(journal.blob(), journal.blob_store);
  if (header.kind == HeaderKind::kVolume) add(header.blob(), header.epoch_store);
  co_return sources;
}

}  // namespace atl
