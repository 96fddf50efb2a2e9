// SPDX-License-Identifier: Apache-2.0
//
// Changing and removing resources.
#include <fmt/format.h>

#include "peers/volumes/local_atoll.h"
#include "peers/volumes/lost.h"
#include "peers/volumes/transitions.h"

namespace atl {

Task<Result<ResourceInfo>> LocalAtoll::Resize(ResourceRef ref, uint64_t size, bool allow_shrink) {
  CO_RETURN_IF_ERROR(ValidateSize(size));
  CO_ASSIGN_OR_RETURN(const Located found, co_await LocateVolume(ref, "resized"));
  const Header& header = found.header.header;
  if (size < header.size) {
    if (!allow_shrink) {
      co_return Status(
          Code::kInvalid,
          fmt::format("{} has {} bytes; shrinking it to {} throws away what is behind, "
                      "which needs --force",
                      header.name, header.size, size));
    }
    CO_RETURN_IF_ERROR(co_await Shrink(found, size));
  } else if (size > header.size) {
    auto use = co_await table_.Get(found.slot, header.uuid);
    if (!use.ok()) co_return use.status();
    const auto turn = co_await use->exclusive().Lock();
    CO_RETURN_IF_ERROR(use->CheckAlive());
    CO_RETURN_IF_ERROR(co_await use->composer().map().Grow(size));
  }
  co_return co_await Info(header.uuid, found.slot);
}

// The cut range becomes zero in the map, so that growing again shows zeros; then the size is
// pinned.
Task<Status> LocalAtoll::Shrink(const Located& located, uint64_t size) {
  const Uuid uuid = located.header.header.uuid;
  if (table_.users(uuid) > 0) {
    const Status in_use = co_await table_.CloseUnused(uuid, located.header.header.name);
    if (!in_use.ok()) co_return in_use.With("an open volume cannot shrink");
  }
  auto use = co_await table_.Get(located.slot, uuid);
  if (!use.ok()) co_return use.status();
  CO_RETURN_IF_ERROR(use->CheckAlive());
  const uint64_t before = use->composer().geometry().size;
  if (size >= before) co_return OkStatus();
  // It may wait for room, which a node that stops cuts short: so not with what its close waits for.
  CO_RETURN_IF_ERROR(co_await use->composer().Discard({size, before - size}, false));
  const auto turn = co_await use->exclusive().Lock();
  CO_RETURN_IF_ERROR(use->CheckAlive());
  Composer& composer = use->composer();
  if (size >= composer.geometry().size) co_return OkStatus();
  PinChange change;
  change.new_size = size;
  co_return co_await composer.Pin(change);
}

// new name record -> header (the commit) -> old name record gone.
Task<Result<ResourceInfo>> LocalAtoll::Rename(ResourceRef ref, std::string name) {
  CO_RETURN_IF_ERROR(ValidateName(name));
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  if (header.name == name) co_return InfoOf(found);
  CO_RETURN_IF_ERROR(co_await CommitRename(found.slot, header.uuid, header.name_space, name));
  CO_RETURN_IF_ERROR(co_await names_.Withdraw(header.name_space, header.name, header.uuid));
  if (table_.is_open(header.uuid)) {
    // Its composer names itself in messages; and its copy of the header is refreshed by this.
    auto use = co_await table_.Get(found.slot, header.uuid);
    if (!use.ok()) co_return co_await Info(header.uuid, found.slot);
    const auto turn = co_await use->exclusive().Lock();
    if (use->alive() && use->composer().geometry().writable) {
      CO_RETURN_IF_ERROR(co_await use->composer().map().SetName(header.name_space, name));
    }
  }
  co_return co_await Info(header.uuid, found.slot);
}

Task<Status> LocalAtoll::CommitRename(StoreSlot slot, Uuid uuid, Uuid name_space,
                                      std::string name) {
  constexpr int kMaxSwaps = 100;
  Store& store = stores_->at(slot);
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, uuid);
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    // Read first: who takes the claimed name over swaps the header, so that ours is lost. Claimed
    // anew for each try, for that is how we learn of it.
    CO_ASSIGN_OR_RETURN(VersionedHeader now, co_await ReadHeader(&store, uuid, ReadFor::kAct));
    if (now.header.state != HeaderState::kLive) {
      CO_RETURN_IF_ERROR(co_await names_.Withdraw(name_space, name, uuid));
      co_return Status(Code::kNotFound, fmt::format("{} was removed", now.header.name));
    }
    CO_RETURN_IF_ERROR(co_await names_.Claim(name_space, name, uuid, store.info().uuid));
    now.header.name = name;
    now.header.modified_ns = env_->WallNs();
    CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeHeader(now.header));
    const auto version = co_await store.SwapRecord(key, now.version, bytes, env_->NewUuid());
    if (version.ok()) co_return OkStatus();
    if (version.code() != Code::kConflict) co_return version.status();
  }
  co_return Status(Code::kBusy, fmt::format("{} is changed by others all the time", name));
}

// lock to removing -> header to removed (the commit) -> name record gone. Space is freed by GC.
Task<Status> LocalAtoll::Remove(ResourceRef ref) {
  auto located = co_await Locate(ref);
  if (!located.ok() && ref.name.empty()) {
    const auto lost = co_await FindLost(stores_, ref.uuid);
    if (!lost.ok()) co_return located.status();
    co_return co_await GiveUpLost(*lost);
  }
  if (!located.ok()) co_return located.status();
  Located found = *std::move(located);
  const std::string name = found.header.header.name;
  const Uuid uuid = found.header.header.uuid;
  Store& store = stores_->at(found.slot);
  const auto closed = co_await table_.Exclude(uuid, name);
  if (!closed.ok()) co_return closed.status();
  // Others take a remover without a lease for dead.
  const auto lease = co_await table_.Lease(found.slot);
  if (!lease.ok()) co_return lease.status();
  const Status marked = co_await locks_.MarkRemoving(&store, uuid, name);
  if (!marked.ok()) co_return co_await table_.NotAcquired(found.slot, uuid, marked);
  // Read again now that nobody can be in it any more.
  auto now = co_await ReadHeader(&store, uuid, ReadFor::kAct);
  if (!now.ok()) {
    (void)co_await table_.ReleaseLock(found.slot, uuid);
    co_return now.status();
  }
  found.header = *std::move(now);
  if (found.header.header.state == HeaderState::kRemoved) {
    co_return Status(Code::kNotFound, name + " was removed meanwhile");
  }
  // A snapshot that was decided and has no header yet must get it before its volume goes.
  if (const auto& pending = found.header.header.pending;
      pending && pending->kind == PendingKind::kSnapshot) {
    const Status put =
        co_await FinishSnapshot(env_, &names_, &store, found.header.header, *pending);
    if (!put.ok() && put.code() != Code::kExists) {
      (void)co_await table_.ReleaseLock(found.slot, uuid);
      co_return put;
    }
  }
  // A removal whose mark was broken meanwhile must not take a volume from whoever has opened it.
  const uint32_t generation = found.header.header.generation;
  const Status removed =
      co_await ChangeHeader(env_, &store, &found.header, [&](Header* header) -> Status {
        if (header->generation != generation) {
          return {Code::kBusy, fmt::format("{} was opened by another node meanwhile", name)};
        }
        header->state = HeaderState::kRemoved;
        header->pending.reset();
        return {};
      });
  if (!removed.ok()) {
    (void)co_await table_.ReleaseLock(found.slot, uuid);
    co_return removed;
  }
  co_return co_await names_.Withdraw(found.header.header.name_space, name, uuid);
}

// A tombstone in place of the header that is missing: from then on it is as any other removal.
Task<Status> LocalAtoll::GiveUpLost(NameRecord record) {
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores_->Find(record.store));
  const auto put =
      co_await PutHeader(&stores_->at(slot), Tombstone(record, env_->WallNs()), env_->NewUuid());
  if (!put.ok()) co_return put.status();
  if (record.name.empty()) co_return OkStatus();
  co_return co_await names_.Withdraw(record.name_space, record.name, record.uuid);
}

Task<Result<ResourceInfo>> LocalAtoll::Rollback(ResourceRef ref, ResourceRef snapshot) {
  CO_ASSIGN_OR_RETURN(Located volume, co_await LocateVolume(std::move(ref), "rolled back"));
  if (volume.header.header.pending) {
    // A node that died had begun it; who opens the volume finishes it first. What is in the way of
    // the rest of the open may be what it is rolled back for.
    const ResourceRef same = ResourceRef::Of(volume.header.header.uuid);
    const Status opened = (co_await table_.Get(volume.slot, same.uuid)).status();
    CO_ASSIGN_OR_RETURN(volume, co_await LocateVolume(same, "rolled back"));
    if (volume.header.header.pending) CO_RETURN_IF_ERROR(opened);
  }
  CO_ASSIGN_OR_RETURN(const Located source, co_await LocateSnapshot(std::move(snapshot)));
  const Header& header = volume.header.header;
  if (source.header.header.parent != header.uuid) {
    co_return Status(Code::kInvalid,
                     fmt::format("{} is not a snapshot of {}; make a clone of it instead",
                                 source.header.header.name, header.name));
  }
  CO_RETURN_IF_ERROR(co_await RollbackClosed(volume, source));
  co_return co_await Info(header.uuid, volume.slot);
}

// pending {rollback} -> snapshot seen again -> header with its map, size and a new epoch (the
// commit). With the lock held and no device in it.
Task<Status> LocalAtoll::RollbackClosed(const Located& volume, const Located& snapshot) {
  const Uuid uuid = volume.header.header.uuid;
  const std::string name = volume.header.header.name;
  Store& store = stores_->at(volume.slot);
  const auto closed = co_await table_.Exclude(uuid, name);
  if (!closed.ok()) co_return closed.status();
  auto lease = co_await table_.Lease(volume.slot);
  if (!lease.ok()) co_return lease.status();
  std::optional<BlobId> taken;
  const Status acquired = co_await locks_.AcquireWriter(&store, uuid, name, &taken);
  if (!acquired.ok()) co_return co_await table_.NotAcquired(volume.slot, uuid, acquired);
  auto header = co_await ReadHeader(&store, uuid, ReadFor::kAct);
  Status status = header.status();
  if (header.ok() && header->header.pending) {
    status = Status(Code::kBusy, fmt::format("{} has an operation to finish: open it first", name));
  }
  if (status.ok()) {
    const BlobId blob = header->header.blob();
    // Nothing that an earlier holder has in flight may land in what will be current. A lost blob is
    // not made anew: should this fail, it is missing still.
    status = (co_await store.Usage(blob)).status();
    const bool fresh = status.code() == Code::kNotFound && !header->header.begun;
    if (status.ok() || fresh) status = co_await store.Adopt(blob, 10 * kSecond);
    if (status.code() == Code::kFenced || status.code() == Code::kNotFound) status = OkStatus();
    if (status.ok()) status = co_await PutRollback(&store, &*header, snapshot);
    co_await store.Disown(blob);
  }
  if (taken) co_await store.Disown(*taken);
  const Status released = co_await table_.ReleaseLock(volume.slot, uuid);
  co_return status.ok() ? released : status;
}

Task<Status> LocalAtoll::PutRollback(Store* store, VersionedHeader* header,
                                     const Located& snapshot) {
  const Header& source = snapshot.header.header;
  PendingOperation pending;
  pending.kind = PendingKind::kRollback;
  pending.uuid = source.uuid;
  pending.name = source.name;
  pending.size = source.size;
  pending.time_ns = env_->WallNs();
  pending.map = source.map;
  // Somebody who had found nobody in it may have opened it before its blob was adopted.
  const uint32_t generation = header->header.generation;
  const auto check = [&](const Header& next) -> Status {
    if (next.generation == generation) return {};
    return {Code::kBusy, fmt::format("{} was opened by another node meanwhile", next.name)};
  };
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, store, header, [&](Header* next) -> Status {
    RETURN_IF_ERROR(check(*next));
    next->pending = pending;
    next->refs += 1;
    return {};
  }));
  const auto again = co_await ReadHeader(store, source.uuid, ReadFor::kAct);
  if (!again.ok() && again.code() != Code::kNotFound) co_return again.status();
  const bool alive = again.ok() && again->header.state == HeaderState::kLive;
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, store, header, [&](Header* next) -> Status {
    RETURN_IF_ERROR(check(*next));
    if (alive) return ApplyRollback(pending, next);
    next->pending.reset();
    return {};
  }));
  if (alive) co_return OkStatus();
  co_return Status(Code::kNotFound, fmt::format("snapshot {} was removed meanwhile", source.name));
}

}  // namespace atl
