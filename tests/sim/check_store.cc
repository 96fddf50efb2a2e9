// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/check_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "peers/format/journal.h"
#include "peers/format/records.h"
#include "peers/map/node.h"
#include "peers/mapper/root_store.h"
#include "peers/volumes/lease.h"
#include "peers/volumes/reach.h"

namespace atl::sim {
namespace {

Task<Result<Bytes>> ReadLogUpTo(Store* store, LogId log, uint64_t position, uint64_t most) {
  constexpr uint64_t kStep = 16 * kKiB;
  Bytes bytes;
  while (bytes.size() < most) {
    const size_t before = bytes.size();
    const uint64_t want = std::min(kStep, most - before);
    bytes.resize(before + want);
    const MutSpan out = MutSpan(bytes).subspan(before);
    const auto got = co_await store->ReadLog(log, position + before, out);
    if (!got.ok()) co_return got.status();
    bytes.resize(before + *got);
    if (*got < want) break;
  }
  co_return bytes;
}

// Walks the map of one header, and counts what it finds.
class MapCheck {
 public:
  MapCheck(StoreSet* stores, std::string name, std::vector<std::string>* wrong)
      : stores_(stores), name_(std::move(name)), wrong_(wrong) {}

  Task<void> Run(MapState map) {
    const auto root = co_await ReadRoot(stores_, map.root);
    if (!root.ok()) {
      Note(root.status().ToString());
      co_return;
    }
    root_ = *root;
    co_await Walk(root_.top, kTopLevel, 0);
    for (const auto& [index, source] : root_.sources) co_await CheckSource(index, source);
    for (const auto& [index, count] : counts_) {
      if (!root_.sources.contains(index)) Note(fmt::format("source {} is not in its table", index));
    }
    for (const ReplayJournal& journal : map.replay) co_await CheckJournal(journal);
  }

 private:
  void Note(const std::string& what) { wrong_->push_back("map of " + name_ + ": " + what); }

  Task<void> Walk(NodePointer pointer, int level, uint64_t first) {
    if (!pointer.is_node()) {
      if (pointer.source() != kZeroSource) counts_[pointer.source()] += SpanOf(level);
      co_return;
    }
    ++counts_[pointer.blob()];
    const auto source = root_.sources.find(pointer.blob());
    if (source == root_.sources.end() || source->second.type != SourceType::kNodes) co_return;
    const NodePlace place{source->second.nodes(), pointer.offset()};
    const auto slot = stores_->Find(source->second.store);
    if (!slot.ok()) co_return Note(slot.status().ToString());
    const auto bytes =
        co_await ReadLogUpTo(&stores_->at(*slot), place.log, place.offset, kMaxNodeBytes);
    if (!bytes.ok()) co_return Note(bytes.status().ToString());
    const auto length =
        bytes->size() < kNodeHeaderBytes ? Result<size_t>(size_t{0}) : NodeLength(*bytes);
    if (!length.ok() || *length == 0 || *length > bytes->size()) {
      co_return Note(
          fmt::format("there is no node at {} of {}", place.offset, place.log.ToString()));
    }
    const ConstSpan node = ConstSpan(*bytes).first(*length);
    if (level == 0) {
      const auto leaf = DecodeLeaf(node, first, place);
      if (!leaf.ok()) co_return Note(leaf.status().ToString());
      for (const SourceIndex grain : leaf->sources) {
        if (grain != kZeroSource) ++counts_[grain];
      }
      co_return;
    }
    const auto inner = DecodeInner(node, level, first, place);
    if (!inner.ok()) co_return Note(inner.status().ToString());
    for (uint64_t i = 0; i < kFanout; ++i) {
      co_await Walk(inner->children[i], level - 1, first + i * SpanOf(level - 1));
    }
  }

  Task<void> CheckSource(SourceIndex index, Source source) {
    const auto slot = stores_->Find(source.store);
    if (!slot.ok()) co_return Note(slot.status().ToString());
    Store& store = stores_->at(*slot);
    const Status there = source.type == SourceType::kNodes
                             ? (co_await store.LogUsage(source.nodes())).status()
                             : (co_await store.Usage(source.blob())).status();
    if (!there.ok()) Note(there.ToString());
    if (counts_[index] != source.count) {
      Note(fmt::format("source {} is counted as {} and serves {}", index, source.count,
                       counts_[index]));
    }
  }

  Task<void> CheckJournal(ReplayJournal journal) {
    const auto slot = stores_->Find(journal.store);
    const auto blob_slot = stores_->Find(journal.blob_store);
    if (!slot.ok() || !blob_slot.ok()) co_return Note("a journal is in no store that is known");
    const auto bytes = co_await ReadLogUpTo(&stores_->at(*slot), journal.log(), 0, journal.length);
    if (!bytes.ok()) co_return Note(bytes.status().ToString());
    const auto content = ReadPinnedJournal(journal.log(), *bytes, journal.length);
    if (!content.ok()) co_return Note(content.status().ToString());
    if (content->entries.size() != journal.entries) {
      Note(fmt::format("{} has {} entries and should have {}", journal.log().ToString(),
                       content->entries.size(), journal.entries));
    }
    const auto blob = co_await stores_->at(*blob_slot).Usage(journal.blob());
    if (!blob.ok()) Note(blob.status().ToString());
  }

  StoreSet* stores_;
  std::string name_;
  std::vector<std::string>* wrong_;
  Root root_;
  std::map<SourceIndex, uint64_t> counts_;
};

Task<void> CheckCurrent(Store* store, Header header, std::vector<std::string>* wrong) {
  if (!header.begun) co_return;
  const auto blob = co_await store->Usage(header.blob());
  if (!blob.ok()) wrong->push_back(header.name + ": " + blob.status().ToString());
  const auto bytes = co_await ReadLogUpTo(store, header.journal(), 0, kJournalCapacity);
  if (!bytes.ok()) {
    wrong->push_back(header.name + ": " + bytes.status().ToString());
    co_return;
  }
  const StoreInfo& info = store->info();
  const JournalContent content =
      RecoverJournal(header.journal(), *bytes, info.cache, info.capabilities.durable_at_ack);
  if (content.damaged) {
    wrong->push_back(fmt::format("{}: {} has lost flushed changes: {}", header.name,
                                 header.journal().ToString(), content.stopped.ToString()));
  }
}

Task<void> CheckName(StoreSet* stores, Header header, std::vector<std::string>* wrong) {
  const RecordKey key = NameKey(header.name_space, header.name);
  const auto record = co_await stores->catalog().GetRecord(key, ReadFor::kLook);
  Status status = record.status();
  if (status.ok()) {
    const auto name = DecodeNameRecord(record->payload, key);
    status = name.status();
    if (name.ok() && name->uuid != header.uuid) {
      status = Status(Code::kCorrupt, "its name is another's");
    }
  }
  if (!status.ok()) wrong->push_back(header.name + ": " + status.ToString());
}

Task<void> CheckHeader(StoreSet* stores, Store* store, Header header,
                       std::vector<std::string>* wrong) {
  if (header.state == HeaderState::kRemoved) co_return;
  co_await CheckName(stores, header, wrong);
  MapCheck map(stores, header.name, wrong);
  co_await map.Run(header.map);
  if (header.kind == HeaderKind::kVolume) co_await CheckCurrent(store, header, wrong);
  if (!header.pending) co_return;
  MapCheck pending(stores, header.name + ", which is pending", wrong);
  co_await pending.Run(header.pending->map);
}

template <typename Decode>
Task<void> CheckRecords(Store* store, RecordKind kind, Decode decode,
                        std::vector<std::string>* wrong) {
  const auto keys = co_await AllKeys(store, kind);
  if (!keys.ok()) wrong->push_back(keys.status().ToString());
  if (!keys.ok()) co_return;
  for (const RecordKey& key : *keys) {
    const auto record = co_await store->GetRecord(key, ReadFor::kLook);
    Status status = record.status();
    if (record.ok()) status = decode(record->payload, key);
    if (!status.ok()) wrong->push_back(key.ToString() + ": " + status.ToString());
  }
}

template <typename Id, typename List>
Task<void> ListAll(List list, std::vector<std::string>* out) {
  std::optional<Id> after;
  while (true) {
    const auto page = co_await list(after);
    if (!page.ok()) out->push_back(page.status().ToString());
    if (!page.ok()) co_return;
    for (const Id& id : page->items) out->push_back(id.ToString());
    if (page->last || page->items.empty()) co_return;
    after = page->items.back();
  }
}

}  // namespace

Task<std::vector<std::string>> CheckStore(StoreSet* stores) {
  std::vector<std::string> wrong;
  for (size_t i = 0; i < stores->size(); ++i) {
    Store* store = &stores->at(static_cast<StoreSlot>(i));
    std::map<Uuid, Status> damaged;
    const auto headers = co_await ReadAllHeaders(store, ReadFor::kLook, &damaged);
    if (!headers.ok()) wrong.push_back(headers.status().ToString());
    for (const auto& [uuid, status] : damaged) wrong.push_back(status.ToString());
    if (!headers.ok()) continue;
    for (const VersionedHeader& found : *headers) {
      co_await CheckHeader(stores, store, found.header, &wrong);
    }
    const auto name = [](ConstSpan bytes, const RecordKey& key) {
      return DecodeNameRecord(bytes, key).status();
    };
    const auto lock = [](ConstSpan bytes, const RecordKey& key) {
      return DecodeLockRecord(bytes, key.uuid()).status();
    };
    const auto lease = [](ConstSpan bytes, const RecordKey& key) {
      return DecodeLeaseRecord(bytes, key.uuid()).status();
    };
    co_await CheckRecords(store, RecordKind::kName, name, &wrong);
    co_await CheckRecords(store, RecordKind::kLock, lock, &wrong);
    co_await CheckRecords(store, RecordKind::kLease, lease, &wrong);
  }
  co_return wrong;
}

Task<std::vector<std::string>> ListStore(Store* store) {
  std::vector<std::string> all;
  const auto blobs = [store](std::optional<BlobId> after) {
    return store->ListBlobs(after, kMaxPage);
  };
  const auto logs = [store](std::optional<LogId> after) {
    return store->ListLogs(after, kMaxPage);
  };
  co_await ListAll<BlobId>(blobs, &all);
  co_await ListAll<LogId>(logs, &all);
  for (const RecordKind kind :
       {RecordKind::kHeader, RecordKind::kName, RecordKind::kLock, RecordKind::kLease}) {
    const auto keys = co_await AllKeys(store, kind);
    if (!keys.ok()) all.push_back(keys.status().ToString());
    if (!keys.ok()) continue;
    for (const RecordKey& key : *keys) {
      all.push_back(key.ToString());
      if (kind != RecordKind::kLease) continue;
      const auto lease = co_await ReadLease(store, key.uuid());
      if (lease.ok()) all.back() += " of " + lease->node;
    }
  }
  co_return all;
}

}  // namespace atl::sim
