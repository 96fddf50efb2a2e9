// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/garbage.h"

#include <fmt/format.h>

#include "peers/format/records.h"

namespace atl {
namespace {

constexpr int kMaxPasses = 20;
constexpr size_t kMaxItems = 10'000;

// Every key of a kind.
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

}  // namespace

void GarbageCollector::Note(std::string item) {
  if (report_.items.size() < kMaxItems) report_.items.push_back(std::move(item));
}

Task<Result<GarbageCollector::Candidates>> GarbageCollector::ListCandidates(Store* store) {
  Candidates found;
  std::optional<BlobId> after_blob;
  while (true) {
    auto page = co_await store->ListBlobs(after_blob, kMaxPage);
    if (!page.ok()) co_return page.status();
    found.blobs.insert(found.blobs.end(), page->items.begin(), page->items.end());
    if (page->last || page->items.empty()) break;
    after_blob = page->items.back();
  }
  std::optional<LogId> after_log;
  while (true) {
    auto page = co_await store->ListLogs(after_log, kMaxPage);
    if (!page.ok()) co_return page.status();
    found.logs.insert(found.logs.end(), page->items.begin(), page->items.end());
    if (page->last || page->items.empty()) break;
    after_log = page->items.back();
  }
  CO_ASSIGN_OR_RETURN(const auto locks, co_await AllKeys(store, RecordKind::kLock));
  for (const RecordKey& key : locks) {
    const auto record = co_await store->GetRecord(key, ReadFor::kAct);
    if (record.code() == Code::kNotFound) continue;
    if (!record.ok()) co_return record.status();
    found.locks.push_back({key, record->version});
  }
  co_return found;
}

Task<Result<GarbageCollector::Pass>> GarbageCollector::ReadPass() {
  Pass pass;
  for (size_t i = 0; i < stores_->size(); ++i) {
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    auto headers = co_await ReadAllHeaders(&store, ReadFor::kAct);
    if (!headers.ok()) co_return headers.status();
    for (const VersionedHeader& found : *headers) {
      const Header& header = found.header;
      pass.headers[header.uuid] = {header.state, header.refs};
      if (header.state == HeaderState::kRemoved) pass.tombstones[header.uuid] = found.version;
      if (header.pending) pass.pending.insert(header.pending->uuid);
      auto reach = co_await ReachOf(stores_, header);
      if (!reach.ok()) co_return reach.status();
      pass.reach.Add(*reach);
    }
  }
  co_return pass;
}

Task<Result<GcReport>> GarbageCollector::Run(bool dry_run) {
  dry_run_ = dry_run;
  report_ = {};
  std::vector<Candidates> candidates;
  for (size_t i = 0; i < stores_->size(); ++i) {
    CO_ASSIGN_OR_RETURN(Candidates found,
                        co_await ListCandidates(&stores_->at(static_cast<StoreSlot>(i))));
    candidates.push_back(std::move(found));
  }
  CO_ASSIGN_OR_RETURN(Pass before, co_await ReadPass());
  bool settled = false;
  for (int i = 0; i < kMaxPasses && !settled; ++i) {
    CO_ASSIGN_OR_RETURN(Pass now, co_await ReadPass());
    settled = now.headers == before.headers;
    // What either of two equal passes names is kept.
    if (settled) now.reach.Add(before.reach);
    if (settled) now.pending.insert(before.pending.begin(), before.pending.end());
    before = std::move(now);
  }
  if (!settled) {
    co_return Status(Code::kBusy, "headers change all the time; garbage is collected later");
  }
  for (size_t i = 0; i < stores_->size(); ++i) {
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    CO_RETURN_IF_ERROR(co_await RemoveUnnamed(&store, candidates[i], before.reach));
    CO_RETURN_IF_ERROR(co_await RemoveRecords(&store, candidates[i], before));
    CO_RETURN_IF_ERROR(co_await RemoveLeases(&store));
    CO_ASSIGN_OR_RETURN(const uint64_t swept, co_await store.Sweep(dry_run_));
    report_.leftovers += swept;
  }
  CO_RETURN_IF_ERROR(co_await RemoveNames(&stores_->catalog(), before));
  co_return report_;
}

Task<Status> GarbageCollector::RemoveUnnamed(Store* store, const Candidates& candidates,
                                             const Reach& keep) {
  for (const BlobId& blob : candidates.blobs) {
    if (keep.blobs.contains(blob)) continue;
    const auto usage = co_await store->Usage(blob);
    if (usage.ok()) report_.freed_bytes += *usage;
    ++report_.blobs;
    Note("blob " + blob.ToString());
    if (dry_run_) continue;
    const Status removed = co_await store->Remove(blob);
    if (!removed.ok() && removed.code() != Code::kNotFound) co_return removed;
  }
  for (const LogId& log : candidates.logs) {
    if (keep.logs.contains(log)) continue;
    const auto usage = co_await store->LogUsage(log);
    if (usage.ok()) report_.freed_bytes += *usage;
    ++report_.logs;
    Note(log.ToString());
    if (dry_run_) continue;
    const Status removed = co_await store->RemoveLog(log);
    if (!removed.ok() && removed.code() != Code::kNotFound) co_return removed;
  }
  co_return OkStatus();
}

Task<Status> GarbageCollector::RemoveRecord(Store* store, JudgedRecord record) {
  if (!dry_run_) {
    const Status removed =
        co_await store->RemoveRecord(record.key, record.version, env_->NewUuid());
    // Whoever changed it meanwhile wants it.
    if (removed.code() == Code::kConflict || removed.code() == Code::kNotFound) {
      co_return OkStatus();
    }
    CO_RETURN_IF_ERROR(removed);
  }
  ++report_.records;
  Note(record.key.ToString());
  co_return OkStatus();
}

// Tombstones that no pending operation can meet any more, and locks of what is gone.
Task<Status> GarbageCollector::RemoveRecords(Store* store, const Candidates& candidates,
                                             const Pass& pass) {
  for (const JudgedRecord& lock : candidates.locks) {
    const auto header = pass.headers.find(lock.key.uuid());
    if (header != pass.headers.end() && header->second.state == HeaderState::kLive) continue;
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, lock));
  }
  for (const auto& [uuid, version] : pass.tombstones) {
    if (pass.pending.contains(uuid)) continue;
    const JudgedRecord tombstone{RecordKey::Of(RecordKind::kHeader, uuid), version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, tombstone));
  }
  co_return OkStatus();
}

// Names of tombstones. A name without any header may be of a maker who is at work.
Task<Status> GarbageCollector::RemoveNames(Store* store, const Pass& pass) {
  CO_ASSIGN_OR_RETURN(const auto names, co_await AllKeys(store, RecordKind::kName));
  for (const RecordKey& key : names) {
    const auto record = co_await store->GetRecord(key, ReadFor::kLook);
    if (record.code() == Code::kNotFound) continue;
    if (!record.ok()) co_return record.status();
    CO_ASSIGN_OR_RETURN(const NameRecord name, DecodeNameRecord(record->payload, key));
    if (!pass.tombstones.contains(name.uuid)) continue;
    const JudgedRecord judged{key, record->version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, judged));
  }
  co_return OkStatus();
}

Task<Status> GarbageCollector::RemoveLeases(Store* store) {
  CO_ASSIGN_OR_RETURN(const auto leases, co_await AllKeys(store, RecordKind::kLease));
  for (const RecordKey& key : leases) {
    if (key.uuid() == identity_.incarnation) continue;
    const auto lease = co_await ReadLease(store, key.uuid());
    if (lease.code() == Code::kNotFound) continue;
    // A damaged one says nothing; it harms nobody either.
    if (lease.code() == Code::kCorrupt) continue;
    if (!lease.ok()) co_return lease.status();
    const bool dead = IsKnownDead(*lease, identity_);
    if (!dead) continue;
    const auto record = co_await store->GetRecord(key, ReadFor::kAct);
    if (!record.ok()) continue;
    const JudgedRecord judged{key, record->version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, judged));
  }
  co_return OkStatus();
}

}  // namespace atl
