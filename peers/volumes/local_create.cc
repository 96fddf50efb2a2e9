// SPDX-License-Identifier: Apache-2.0
//
// Making resources: volumes, clones, snapshots.
#include <fmt/format.h>

#include "peers/volumes/local_atoll.h"
#include "peers/volumes/transitions.h"

namespace atl {
namespace {

Status Taken(const std::string& name) {
  return {Code::kExists, fmt::format("'{}' was taken by another", name)};
}

// Whether a header is what an earlier call with the same `spec` has made.
bool IsWorkOf(const CreateSpec& spec, const Header& header) {
  return header.state == HeaderState::kLive && header.kind == HeaderKind::kVolume &&
         header.name_space == spec.name_space && header.name == spec.name &&
         header.parent.is_zero() != spec.from.has_value();
}

}  // namespace

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
    auto prepared = co_await PrepareClone(spec, &slot);
    if (prepared.code() == Code::kNotFound) {
      // The snapshot may have gone since a clone was made of it.
      const auto done = co_await names_.FindByUuid(spec.uuid);
      if (done.ok() && IsWorkOf(spec, done->header.header) && !done->header.header.pending) {
        co_return InfoOf(*done);
      }
    }
    if (!prepared.ok()) co_return prepared.status();
    header = *std::move(prepared);
  } else {
    CO_ASSIGN_OR_RETURN(slot, stores_->FindByName(spec.store));
    header = NewVolume(spec, stores_->at(slot).info().uuid, env_->WallNs());
  }
  Store& store = stores_->at(slot);
  CO_RETURN_IF_ERROR(
      co_await names_.Claim(spec.name_space, spec.name, spec.uuid, store.info().uuid));
  const auto put = co_await PutHeader(&store, header, spec.uuid);
  if (!put.ok() && put.code() != Code::kExists) co_return put.status();
  // Somebody repeats what was done already, with another snapshot under the same name perhaps; or
  // took the name over meanwhile.
  CO_ASSIGN_OR_RETURN(VersionedHeader made, co_await ReadHeader(&store, spec.uuid, ReadFor::kAct));
  if (!IsWorkOf(spec, made.header)) co_return Taken(spec.name);
  CO_ASSIGN_OR_RETURN(const bool ours,
                      co_await names_.PointsTo(spec.name_space, spec.name, spec.uuid));
  if (!ours) {
    // Unless somebody has used it since, or has renamed it: then it had the name.
    bool counted = false;
    const Status withdrawn =
        co_await ChangeHeader(env_, &store, &made, [&](Header* next) -> Status {
          const bool fresh = IsWorkOf(spec, *next) && next->generation == 1;
          counted = !fresh && next->state == HeaderState::kLive;
          if (!fresh) return {Code::kExists, "not to be withdrawn"};
          next->state = HeaderState::kRemoved;
          next->pending.reset();
          return {};
        });
    if (!withdrawn.ok() && withdrawn.code() != Code::kExists) co_return withdrawn;
    if (!counted) co_return Taken(spec.name);
  }
  const Status settled = co_await SettleClone(env_, &store, &made);
  if (settled.code() == Code::kNotFound) {
    const Header& clone = made.header;
    CO_RETURN_IF_ERROR(co_await names_.Withdraw(clone.name_space, clone.name, clone.uuid));
    co_return Status(Code::kNotFound, "the snapshot was removed meanwhile");
  }
  CO_RETURN_IF_ERROR(settled);
  co_return InfoOf(Located{slot, std::move(made)});
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

// name record -> pin {the next epoch, pending} (the commit) -> snapshot's header -> pending
// cleared.
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
  // One at a time: the volume has room for one pending operation.
  const auto turn = co_await use->exclusive().Lock();
  CO_RETURN_IF_ERROR(use->CheckAlive());
  Composer& composer = use->composer();
  const Header& header = composer.map().header();
  PendingOperation pending;
  pending.kind = PendingKind::kSnapshot;
  pending.uuid = spec.uuid;
  pending.name = spec.name;
  pending.time_ns = env_->WallNs();
  PinChange change;
  change.snapshot = pending;
  // What the pin needs is made durable beside the name, unless another has that already.
  const auto taken =
      co_await names_.IsTaken(header.name_space, spec.name, spec.uuid, ReadFor::kLook);
  TaskGroup beside;
  if (taken.ok() && !*taken) beside.Run(composer.PrepareToPin(change));
  const Status claimed =
      co_await names_.Claim(header.name_space, spec.name, spec.uuid, store.info().uuid);
  co_await beside.Join();
  CO_RETURN_IF_ERROR(claimed);
  Status status = co_await composer.Pin(change);
  const Header volume_header = composer.map().header();
  const bool committed = volume_header.pending && volume_header.pending->uuid == spec.uuid;
  if (!status.ok() && !committed) {
    // After any other failure it may have been done, and whoever opens the volume next finishes it;
    // until then the name points to no header and does not count.
    if (RefusedPin(status)) {
      (void)co_await names_.Withdraw(header.name_space, spec.name, spec.uuid);
    }
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
