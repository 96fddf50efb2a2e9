// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/lost.h"

#include <fmt/format.h>

#include "peers/volumes/reach.h"

namespace atl {
namespace {

Task<Result<bool>> HasRecord(Store* store, RecordKey key) {
  const auto record = co_await store->GetRecord(key, ReadFor::kLook);
  if (record.code() == Code::kNotFound) co_return false;
  // A damaged one is there, too.
  if (!record.ok() && record.code() != Code::kCorrupt) co_return record.status();
  co_return true;
}

Task<Result<bool>> PointsHere(Store* catalog, RecordKey key, Uuid uuid) {
  const auto record = co_await catalog->GetRecord(key, ReadFor::kLook);
  if (record.code() == Code::kNotFound) co_return false;
  if (!record.ok()) co_return record.status();
  const auto name = DecodeNameRecord(record->payload, key);
  if (!name.ok()) co_return name.status();
  co_return name->uuid == uuid;
}

}  // namespace

Task<Result<bool>> OwnsAnything(Store* store, Uuid owner) {
  // Epochs, sequences and generations begin at 1.
  const auto blobs = co_await store->ListBlobs(BlobId{owner, 0, 0}, 1);
  if (!blobs.ok()) co_return blobs.status();
  if (!blobs->items.empty() && blobs->items[0].owner == owner) co_return true;
  for (const LogId& before : {LogId::Journal(owner, 0, 0), LogId::Nodes(owner, 0)}) {
    const auto logs = co_await store->ListLogs(before, 1);
    if (!logs.ok()) co_return logs.status();
    const bool found =
        !logs->items.empty() && logs->items[0].owner == owner && logs->items[0].kind == before.kind;
    if (found) co_return true;
  }
  co_return false;
}

Task<Result<bool>> IsHeaderMissing(StoreSet* stores, Store* store, Uuid uuid,
                                   std::optional<RecordKey> name) {
  CO_ASSIGN_OR_RETURN(const bool there,
                      co_await HasRecord(store, RecordKey::Of(RecordKind::kHeader, uuid)));
  if (there) co_return false;
  bool named = false;
  if (name) {
    CO_ASSIGN_OR_RETURN(named, co_await PointsHere(&stores->catalog(), *name, uuid));
  }
  CO_ASSIGN_OR_RETURN(const bool locked,
                      co_await HasRecord(store, RecordKey::Of(RecordKind::kLock, uuid)));
  if (named == locked) co_return named;
  co_return co_await OwnsAnything(store, uuid);
}

Status HeaderMissing(const Store& store, const Uuid& uuid, const std::string& name) {
  const std::string id = uuid.ToString();
  return {Code::kCorrupt,
          fmt::format("header missing: store {} has no header of {}, which was not removed; "
                      "restore its record from a backup of the store, or give up what it holds "
                      "with 'atoll volume remove --lost uuid:{}'",
                      store.info().name, name.empty() ? id : fmt::format("{} ({})", name, id), id)};
}

Task<Status> CheckNotLost(StoreSet* stores, NameRecord record) {
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores->Find(record.store));
  Store& store = stores->at(slot);
  const RecordKey key = NameKey(record.name_space, record.name);
  CO_ASSIGN_OR_RETURN(const bool missing,
                      co_await IsHeaderMissing(stores, &store, record.uuid, key));
  co_return missing ? HeaderMissing(store, record.uuid, record.name) : OkStatus();
}

Task<Result<std::vector<NameRecord>>> AllLost(StoreSet* stores, std::set<RecordKey> settled) {
  std::vector<NameRecord> lost;
  Store& catalog = stores->catalog();
  CO_ASSIGN_OR_RETURN(const auto keys, co_await AllKeys(&catalog, RecordKind::kName));
  for (const RecordKey& key : keys) {
    if (settled.contains(key)) continue;
    const auto record = co_await catalog.GetRecord(key, ReadFor::kLook);
    if (record.code() == Code::kNotFound) continue;
    if (!record.ok()) co_return record.status();
    CO_ASSIGN_OR_RETURN(NameRecord name, DecodeNameRecord(record->payload, key));
    if (!stores->Find(name.store).ok()) continue;  // Its blobs are not here, either.
    const Status status = co_await CheckNotLost(stores, name);
    if (status.ok()) continue;
    if (status.code() != Code::kCorrupt) co_return status;
    lost.push_back(std::move(name));
  }
  co_return lost;
}

Task<Result<NameRecord>> FindLost(StoreSet* stores, Uuid uuid) {
  const std::set<RecordKey> none;
  CO_ASSIGN_OR_RETURN(const std::vector<NameRecord> all, co_await AllLost(stores, none));
  for (const NameRecord& record : all) {
    if (record.uuid == uuid) co_return record;
  }
  for (size_t i = 0; i < stores->size(); ++i) {
    Store& store = stores->at(static_cast<StoreSlot>(i));
    CO_ASSIGN_OR_RETURN(const bool missing,
                        co_await IsHeaderMissing(stores, &store, uuid, std::nullopt));
    if (!missing) continue;
    NameRecord nameless;
    nameless.uuid = uuid;
    nameless.store = store.info().uuid;
    co_return nameless;
  }
  co_return Status(Code::kNotFound, fmt::format("there is no resource {}", uuid.ToString()));
}

}  // namespace atl
