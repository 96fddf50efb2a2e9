// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/garbage.h"

#include <fmt/format.h>

#include "peers/format/records.h"
#include "peers/volumes/lost.h"

namespace atl {
namespace {

constexpr int kMaxPasses = 20;
constexpr size_t kMaxItems = 10'000;

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
      if (header.state == HeaderState::kLive) {
        const RecordKey name = NameKey(header.name_space, header.name);
        pass.names.emplace(name, Named{header.uuid, static_cast<StoreSlot>(i)});
      }
      CO_RETURN_IF_ERROR(co_await AddReachOf(stores_, header, &pass.reach));
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
  CO_RETURN_IF_ERROR(co_await CheckHeaders(candidates, before));
  CO_RETURN_IF_ERROR(co_await WithdrawLosers(before));
  CO_RETURN_IF_ERROR(co_await RemoveNames(&stores_->catalog(), before));
  for (size_t i = 0; i < stores_->size(); ++i) {
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    CO_RETURN_IF_ERROR(co_await RemoveUnnamed(&store, candidates[i], before.reach));
    CO_RETURN_IF_ERROR(co_await RemoveLocks(&store, candidates[i], before));
    CO_RETURN_IF_ERROR(co_await RemoveTombstones(&store, candidates[i], before));
    CO_RETURN_IF_ERROR(co_await RemoveLeases(&store));
    CO_ASSIGN_OR_RETURN(const uint64_t swept, co_await store.Sweep(dry_run_));
    report_.leftovers += swept;
  }
  co_return report_;
}

// Nothing is removed while a resource that was not removed has no header: what it holds would go.
Task<Status> GarbageCollector::CheckHeaders(const std::vector<Candidates>& candidates,
                                            const Pass& pass) {
  std::set<RecordKey> settled;
  for (const auto& [name, named] : pass.names) settled.insert(name);
  CO_ASSIGN_OR_RETURN(const std::vector<NameRecord> lost, co_await AllLost(stores_, settled));
  if (!lost.empty()) {
    CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(lost[0].store));
    co_return HeaderMissing(stores_->at(slot), lost[0].uuid, lost[0].name);
  }
  // Those whose name record is gone, too.
  for (size_t i = 0; i < stores_->size(); ++i) {
    std::set<Uuid> owners;
    for (const BlobId& blob : candidates[i].blobs) owners.insert(blob.owner);
    for (const LogId& log : candidates[i].logs) owners.insert(log.owner);
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    for (const Uuid& owner : owners) {
      if (pass.headers.contains(owner)) continue;
      CO_ASSIGN_OR_RETURN(const bool missing,
                          co_await IsHeaderMissing(stores_, &store, owner, std::nullopt));
      if (missing) co_return HeaderMissing(store, owner, "");
    }
  }
  co_return OkStatus();
}

Task<Status> GarbageCollector::RemoveUnnamed(Store* store, const Candidates& candidates,
                                             const Reach& keep) {
  for (const BlobId& blob : candidates.blobs) {
    if (keep.Keeps(blob)) continue;
    const auto usage = co_await store->Usage(blob);
    if (usage.ok()) report_.freed_bytes += *usage;
    ++report_.blobs;
    Note("blob " + blob.ToString());
    if (dry_run_) continue;
    const Status removed = co_await store->Remove(blob);
    if (!removed.ok() && removed.code() != Code::kNotFound) co_return removed;
  }
  for (const LogId& log : candidates.logs) {
    if (keep.Keeps(log)) continue;
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

}  // namespace atl
