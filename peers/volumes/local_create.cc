// SPDX-License-Identifier: Apache-2.0
//
// Making resources: volumes, clones, snapshots.
#include <fmt/format.h>

#include "peers/volumes/local_atoll.h"
#include "peers/volumes/transitions.h"

namespace atl {

// name record -> header (the commit).  A clone also: pending -> snapshot seen again -> cleared.
Task<Result<ResourceInfo>> LocalAtoll::Create(CreateSpec spec) {
  CO_RETURN_IF_ERROR(ValidateName(spec.name));
  if (spec.uuid.is_zero()) co_return Status(Code::kInvalid, "a volume needs a uuid");
  if (!spec.from || spec.size != 0) CO_RETURN_IF_ERROR(ValidateSize(spec.size));
  if (spec.logical_block != 512 && spec.logical_block != 4096) {
    co_return Status(Code::kInvalid, "a logical block has 512 or 4096 bytes");
  }
  StoreSlot slot = 0;
  Header header;
  if (spec.from) {
    CO_ASSIGN_OR_RETURN(header, co_await PrepareClone(spec, &slot));
  } else {
    CO_ASSIGN_OR_RETURN(slot, stores_->FindByName(spec.store));
    header = NewVolume(spec, stores_->at(slot).info().uuid, env_->WallNs());
  }
  Store& store = stores_->at(slot);
  CO_RETURN_IF_ERROR(
      co_await names_.Claim(spec.name_space, spec.name, spec.uuid, store.info().uuid));
  auto made = co_await PutHeader(&store, header, spec.uuid);
  if (made.code() == Code::kExists) {
    // Somebody repeats what was done already, or took the name over meanwhile.
    made = co_await ReadHeader(&store, spec.uuid, ReadFor::kAct);
    if (made.ok() && (made->header.state != HeaderState::kLive || made->header.name != spec.name)) {
      co_return Status(Code::kExists, fmt::format("'{}' was taken by another", spec.name));
    }
  }
  if (!made.ok()) co_return made.status();
  CO_ASSIGN_OR_RETURN(const bool ours,
                      co_await names_.PointsTo(spec.name_space, spec.name, spec.uuid));
  if (!ours) {
    CO_RETURN_IF_ERROR(co_await WithdrawHeader(env_, &store, &*made));
    co_return Status(Code::kExists, fmt::format("'{}' was taken by another", spec.name));
  }
  if (spec.from) {
    CO_RETURN_IF_ERROR(co_await FinishClone(slot, &*made, made->header.parent));
  }
  co_return InfoOf(Located{slot, *std::move(made)});
}

Task<Result<Header>> LocalAtoll::PrepareClone(const CreateSpec& spec, StoreSlot* slot) {
  CO_ASSIGN_OR_RETURN(const Located source, co_await LocateSnapshot(*spec.from));
  *slot = source.slot;
  const StoreInfo& info = stores_->at(source.slot).info();
  if (!spec.store.empty() && spec.store != info.name) {
    co_return Status(Code::kUnsupported,
                     fmt::format("snapshot {} is in store {}; a clone in another store is not "
                                 "possible yet, use export and import",
                                 source.header.header.name, info.name));
  }
  co_return NewClone(spec, source.header.header, info.uuid, env_->WallNs());
}

// The clone counts only if its snapshot is still there after the clone's header is: then whoever
// collects garbage has seen one of the two.
Task<Status> LocalAtoll::FinishClone(StoreSlot slot, VersionedHeader* clone, Uuid snapshot) {
  Store& store = stores_->at(slot);
  const auto source = co_await ReadHeader(&store, snapshot, ReadFor::kAct);
  if (!source.ok() && source.code() != Code::kNotFound) co_return source.status();
  const bool alive = source.ok() && source->header.state == HeaderState::kLive;
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, &store, clone, [&](Header* header) -> Status {
    if (!alive) header->state = HeaderState::kRemoved;
    header->pending.reset();
    return {};
  }));
  if (alive) co_return OkStatus();
  const Header& header = clone->header;
  CO_RETURN_IF_ERROR(co_await names_.Withdraw(header.name_space, header.name, header.uuid));
  co_return Status(Code::kNotFound, "the snapshot was removed meanwhile");
}

// name record -> pin {epoch + 1, pending} (the commit) -> snapshot's header -> pending cleared.
Task<Result<ResourceInfo>> LocalAtoll::Snapshot(SnapshotSpec spec) {
  CO_RETURN_IF_ERROR(ValidateName(spec.name));
  if (spec.uuid.is_zero()) co_return Status(Code::kInvalid, "a snapshot needs a uuid");
  CO_ASSIGN_OR_RETURN(const Located volume, co_await LocateVolume(spec.volume, "snapshotted"));
  Store& store = stores_->at(volume.slot);
  if (const auto there = co_await ReadHeader(&store, spec.uuid, ReadFor::kAct); there.ok()) {
    const Header& header = there->header;
    CO_ASSIGN_OR_RETURN(const bool named,
                        co_await names_.PointsTo(header.name_space, spec.name, spec.uuid));
    if (named && header.state == HeaderState::kLive && header.name == spec.name &&
        header.parent == volume.header.header.uuid) {
      co_return co_await Info(spec.uuid, volume.slot);
    }
    co_return Status(Code::kExists, fmt::format("'{}' exists already", spec.name));
  }
  const Uuid volume_uuid = volume.header.header.uuid;
  auto use = co_await table_.Get(volume.slot, volume_uuid);
  if (!use.ok()) co_return use.status();
  Composer& composer = use->composer();
  const Header& header = composer.map().header();
  CO_RETURN_IF_ERROR(
      co_await names_.Claim(header.name_space, spec.name, spec.uuid, store.info().uuid));
  PendingOperation pending;
  pending.kind = PendingKind::kSnapshot;
  pending.uuid = spec.uuid;
  pending.name = spec.name;
  pending.time_ns = env_->WallNs();
  PinChange change;
  change.snapshot = pending;
  // One at a time: the volume has room for one pending operation.
  const auto turn = co_await use->exclusive().Lock();
  Status status = co_await composer.Pin(change);
  const Header volume_header = composer.map().header();
  const bool committed = volume_header.pending && volume_header.pending->uuid == spec.uuid;
  if (!status.ok() && !committed) {
    (void)co_await names_.Withdraw(header.name_space, spec.name, spec.uuid);
    co_return status;
  }
  // Once committed it is finished, even if the volume itself cannot go on.
  if (committed) {
    status = co_await FinishSnapshot(env_, &names_, &store, volume_header, *volume_header.pending);
    if (status.ok() || status.code() == Code::kExists) {
      const Status cleared = co_await composer.map().ClearPending(spec.uuid);
      if (status.ok()) status = cleared;
    }
  }
  if (!status.ok()) co_return status;
  co_return co_await Info(spec.uuid, volume.slot);
}

}  // namespace atl
