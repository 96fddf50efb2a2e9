// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/names.h"

#include <fmt/format.h>

#include "peers/volumes/lost.h"

namespace atl {
namespace {

constexpr int kMaxSwaps = 100;

bool Carries(const Header& header, const NameRecord& record) {
  return header.state == HeaderState::kLive && header.name_space == record.name_space &&
         header.name == record.name;
}

}  // namespace

Header Tombstone(const NameRecord& record, int64_t now_ns) {
  Header header;
  header.uuid = record.uuid;
  header.state = HeaderState::kRemoved;
  header.name = record.name;
  header.name_space = record.name_space;
  header.size = kSector;
  header.epoch_store = record.store;
  header.created_ns = header.modified_ns = now_ns;
  return header;
}

Task<Result<Names::Entry>> Names::Read(RecordKey key, ReadFor purpose) {
  auto record = co_await stores_->catalog().GetRecord(key, purpose);
  if (record.code() == Code::kNotFound) co_return Entry{};
  if (!record.ok()) co_return record.status();
  auto decoded = DecodeNameRecord(record->payload, key);
  if (!decoded.ok()) co_return decoded.status().With(key.ToString());
  co_return Entry{*std::move(decoded), record->version};
}

Task<Result<Located>> Names::Find(Uuid name_space, std::string name) {
  CO_ASSIGN_OR_RETURN(const Entry entry, co_await Read(NameKey(name_space, name)));
  const Status absent(Code::kNotFound, fmt::format("there is no '{}'", name));
  if (entry.version == 0) co_return absent;
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(entry.record.store));
  auto header = co_await ReadHeader(&stores_->at(slot), entry.record.uuid, ReadFor::kLook);
  if (header.code() == Code::kNotFound) {
    const Status lost = co_await CheckNotLost(stores_, entry.record);
    co_return lost.ok() ? absent : lost;
  }
  if (!header.ok()) co_return header.status().With(name);
  if (!Carries(header->header, entry.record)) co_return absent;
  co_return Located{slot, *std::move(header)};
}

Task<Result<Located>> Names::FindByUuid(Uuid uuid) {
  for (size_t i = 0; i < stores_->size(); ++i) {
    const auto slot = static_cast<StoreSlot>(i);
    auto header = co_await ReadHeader(&stores_->at(slot), uuid, ReadFor::kLook);
    if (header.code() == Code::kNotFound) continue;
    if (!header.ok()) co_return header.status();
    if (header->header.state == HeaderState::kRemoved) break;
    co_return Located{slot, *std::move(header)};
  }
  for (size_t i = 0; i < stores_->size(); ++i) {
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    CO_ASSIGN_OR_RETURN(const bool missing,
                        co_await IsHeaderMissing(stores_, &store, uuid, std::nullopt));
    if (missing) co_return HeaderMissing(store, uuid, "");
  }
  co_return Status(Code::kNotFound, fmt::format("there is no resource {}", uuid.ToString()));
}

Task<Status> Names::TakeOver(NameRecord record) {
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(record.store));
  Store& store = stores_->at(slot);
  const Status taken(Code::kExists, fmt::format("'{}' exists already", record.name));
  auto found = co_await ReadHeader(&store, record.uuid, ReadFor::kAct);
  if (found.code() == Code::kNotFound) {
    // A tombstone would make garbage of a resource whose header was lost.
    CO_RETURN_IF_ERROR(co_await CheckNotLost(stores_, record));
    const auto put = co_await PutHeader(&store, Tombstone(record, env_->WallNs()), env_->NewUuid());
    if (put.ok()) co_return OkStatus();
    if (put.code() != Code::kExists) co_return put.status();
    found = co_await ReadHeader(&store, record.uuid, ReadFor::kAct);
  }
  if (!found.ok()) co_return found.status();
  if (Carries(found->header, record)) co_return taken;
  if (found->header.state == HeaderState::kRemoved) co_return OkStatus();
  // It is on its way to this name, or away from it: make a swap in flight fail, then look again.
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, &store, &*found, [&](Header* header) -> Status {
    return Carries(*header, record) ? taken : OkStatus();
  }));
  co_return OkStatus();
}

Task<Status> Names::Claim(Uuid name_space, std::string name, Uuid uuid, Uuid store) {
  const RecordKey key = NameKey(name_space, name);
  NameRecord record;
  record.name_space = name_space;
  record.name = name;
  record.uuid = uuid;
  record.store = store;
  CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeNameRecord(record));
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Entry before, co_await Read(key));
    if (before.version != 0 && before.record.uuid != uuid) {
      CO_RETURN_IF_ERROR(co_await TakeOver(before.record));
    }
    const auto version =
        co_await stores_->catalog().SwapRecord(key, before.version, bytes, env_->NewUuid());
    if (version.ok()) co_return OkStatus();
    if (version.code() != Code::kConflict) co_return version.status();
  }
  co_return Status(Code::kBusy, fmt::format("the name '{}' is wanted by many at once", name));
}

Task<Result<bool>> Names::PointsTo(Uuid name_space, std::string name, Uuid uuid) {
  CO_ASSIGN_OR_RETURN(const Entry entry, co_await Read(NameKey(name_space, name)));
  co_return entry.version != 0 && entry.record.uuid == uuid;
}

Task<Result<bool>> Names::IsTaken(Uuid name_space, std::string name, Uuid uuid, ReadFor purpose) {
  CO_ASSIGN_OR_RETURN(const Entry entry, co_await Read(NameKey(name_space, name), purpose));
  co_return entry.version != 0 && entry.record.uuid != uuid;
}

Task<Status> Names::Discard(RecordKey key) {
  CO_ASSIGN_OR_RETURN(const Entry before, co_await Read(key));
  if (before.version == 0) co_return OkStatus();
  CO_RETURN_IF_ERROR(co_await TakeOver(before.record));
  co_return co_await stores_->catalog().RemoveRecord(key, before.version, env_->NewUuid());
}

Task<Status> Names::Withdraw(Uuid name_space, std::string name, Uuid uuid) {
  const RecordKey key = NameKey(name_space, name);
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Entry before, co_await Read(key));
    if (before.version == 0 || before.record.uuid != uuid) co_return OkStatus();
    const Status status =
        co_await stores_->catalog().RemoveRecord(key, before.version, env_->NewUuid());
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Status(Code::kBusy, fmt::format("the name '{}' is wanted by many at once", name));
}

}  // namespace atl
