// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/header_store.h"

#include <fmt/format.h>

namespace atl {
namespace {

// Losing this often in a row means that something else is wrong.
constexpr int kMaxSwaps = 1000;

}  // namespace

Task<Result<VersionedHeader>> ReadHeader(Store* store, Uuid uuid, ReadFor purpose) {
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, uuid);
  auto record = co_await store->GetRecord(key, purpose);
  if (!record.ok()) co_return record.status();
  auto header = DecodeHeader(record->payload, uuid);
  if (!header.ok()) {
    co_return header.status().With(fmt::format("store {}: {}", store->info().name, key.ToString()));
  }
  co_return VersionedHeader{.header = *std::move(header), .version = record->version};
}

Status AbsentIsDamage(Status status) {
  if (status.code() != Code::kNotFound) return status;
  return {Code::kCorrupt, std::string(status.message())};
}

Task<Status> CheckCurrentIsThere(Store* store, Header header) {
  if (!header.begun) co_return OkStatus();
  const auto blob = co_await store->Usage(header.blob());
  if (!blob.ok() && blob.code() != Code::kNotFound) co_return blob.status();
  const auto journal = co_await store->LogUsage(header.journal());
  if (!journal.ok() && journal.code() != Code::kNotFound) co_return journal.status();
  if (blob.ok() && journal.ok()) co_return OkStatus();
  const auto again = co_await ReadHeader(store, header.uuid, ReadFor::kAct);
  if (!again.ok()) co_return again.status();
  if (again->header.generation != header.generation) co_return OkStatus();
  const std::string lost =
      blob.ok() ? header.journal().ToString() : "blob " + header.blob().ToString();
  co_return Status(Code::kCorrupt, fmt::format("volume {}: its {} is not in store {}", header.name,
                                               lost, store->info().name));
}

Task<Result<VersionedHeader>> PutHeader(Store* store, Header header, Uuid operation) {
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, header.uuid);
  CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeHeader(header));
  auto version = co_await store->SwapRecord(key, 0, bytes, operation);
  if (version.code() == Code::kConflict) {
    co_return Status(Code::kExists, key.ToString() + " exists already");
  }
  if (!version.ok()) co_return version.status();
  co_return VersionedHeader{.header = std::move(header), .version = *version};
}

Task<Result<bool>> SettleHeader(Store* store, VersionedHeader* known) {
  if (!known->doubt) co_return false;
  const Uuid operation = known->doubt->operation;
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, known->header.uuid);
  const auto record = co_await store->GetRecord(key, ReadFor::kAct);
  if (!record.ok() && record.code() != Code::kNotFound) co_return record.status();
  uint64_t made = 0;
  if (record.ok() && record->operation == operation) {
    made = record->version;
  } else if (record.ok() && record->version != known->version) {
    // Others have changed it since. Only the store knows whether ours came before them; this swap
    // cannot win any more, for the version that it wants has passed.
    CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeHeader(known->doubt->next));
    const auto version = co_await store->SwapRecord(key, known->version, bytes, operation);
    if (!version.ok() && version.code() != Code::kConflict) co_return version.status();
    made = version.ok() ? *version : 0;
  }
  if (made > 0) {
    known->header = std::move(known->doubt->next);
    known->version = made;
  }
  known->doubt.reset();
  co_return made > 0;
}

Task<Status> ChangeHeader(Env* env, Store* store, VersionedHeader* known, HeaderChange change) {
  if (const auto settled = co_await SettleHeader(store, known); !settled.ok()) {
    co_return settled.status();
  }
  const Uuid operation = env->NewUuid();
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, known->header.uuid);
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    Header next = known->header;
    CO_RETURN_IF_ERROR(change(&next));
    next.modified_ns = env->WallNs();
    CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeHeader(next));
    const auto version = co_await store->SwapRecord(key, known->version, bytes, operation);
    if (version.ok()) {
      known->header = std::move(next);
      known->version = *version;
      co_return OkStatus();
    }
    if (version.code() != Code::kConflict) {
      known->doubt = {operation, std::move(next)};
      const auto happened = co_await SettleHeader(store, known);
      if (happened.ok()) co_return *happened ? OkStatus() : version.status();
      co_return Status(
          Code::kUnavailable,
          fmt::format("it is not known whether {} was changed: {}; then {}", key.ToString(),
                      version.status().message(), happened.status().message()));
    }
    auto again = co_await ReadHeader(store, known->header.uuid, ReadFor::kAct);
    if (!again.ok()) co_return again.status();
    *known = *std::move(again);
  }
  co_return Status(Code::kBusy, key.ToString() + " is changed by others all the time");
}

}  // namespace atl
