// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/transitions.h"

#include <fmt/format.h>

#include "peers/mapper/volume_map.h"

namespace atl {

Header NewVolume(const CreateSpec& spec, const Uuid& store, int64_t now_ns) {
  Header header;
  header.uuid = spec.uuid;
  header.name_space = spec.name_space;
  header.name = spec.name;
  header.size = spec.size;
  header.logical_block = spec.logical_block;
  header.epoch = 1;
  header.epoch_store = store;
  header.generation = 1;
  header.created_ns = header.modified_ns = now_ns;
  return header;
}

Result<Header> NewClone(const CreateSpec& spec, const Header& snapshot, const Uuid& store,
                        int64_t now_ns) {
  Header header = NewVolume(spec, store, now_ns);
  if (header.size == 0) header.size = snapshot.size;
  if (header.size < snapshot.size) {
    return Status(Code::kInvalid, fmt::format("a clone of {} has at least its {} bytes",
                                              snapshot.name, snapshot.size));
  }
  header.logical_block = snapshot.logical_block;
  header.parent = snapshot.uuid;
  header.map = snapshot.map;
  header.refs = 1;
  PendingOperation pending;
  pending.kind = PendingKind::kClone;
  pending.uuid = snapshot.uuid;
  pending.name = snapshot.name;
  pending.size = snapshot.size;
  pending.time_ns = now_ns;
  header.pending = std::move(pending);
  return header;
}

Header NewSnapshot(const Header& volume, const PendingOperation& pending) {
  Header header;
  header.uuid = pending.uuid;
  header.kind = HeaderKind::kSnapshot;
  header.name_space = volume.name_space;
  header.name = pending.name;
  header.size = pending.size;
  header.logical_block = volume.logical_block;
  header.physical_block = volume.physical_block;
  header.epoch_store = volume.epoch_store;
  header.map = pending.map;
  header.refs = 1;
  header.parent = volume.uuid;
  header.created_ns = header.modified_ns = pending.time_ns;
  return header;
}

Task<Status> FinishSnapshot(Env* env, Names* names, Store* store, Header volume,
                            PendingOperation pending) {
  const Status taken(Code::kExists, fmt::format("'{}' was taken by another", pending.name));
  // The snapshot's uuid names the operation too, so that whoever repeats it knows its own success.
  auto put = co_await PutHeader(store, NewSnapshot(volume, pending), pending.uuid);
  if (put.code() == Code::kExists) put = co_await ReadHeader(store, pending.uuid, ReadFor::kAct);
  if (!put.ok()) co_return put.status();
  const Header& there = put->header;
  const bool same = there.kind == HeaderKind::kSnapshot && there.state == HeaderState::kLive &&
                    there.parent == volume.uuid;
  if (!same) co_return taken;
  // Renamed since: it has counted.
  if (there.name != pending.name) co_return OkStatus();
  // The tombstone that a takeover had left here may have been collected before this header came.
  CO_ASSIGN_OR_RETURN(const bool lost,
                      co_await names->IsTaken(there.name_space, there.name, pending.uuid));
  if (!lost) co_return OkStatus();
  CO_RETURN_IF_ERROR(co_await WithdrawHeader(env, store, &*put));
  co_return taken;
}

Task<Status> WithdrawHeader(Env* env, Store* store, VersionedHeader* header) {
  const Status status = co_await ChangeHeader(env, store, header, [](Header* next) -> Status {
    next->state = HeaderState::kRemoved;
    next->pending.reset();
    return {};
  });
  // Collected already.
  co_return status.code() == Code::kNotFound ? OkStatus() : status;
}

bool IsUntouched(const Header& header) {
  const bool empty = header.map.root.absent() && header.map.replay.empty();
  const bool clone = header.pending && header.pending->kind == PendingKind::kClone;
  return header.kind == HeaderKind::kVolume && header.state == HeaderState::kLive &&
         header.epoch == 1 && header.generation == 1 && (empty || clone);
}

Task<Status> SettleClone(Env* env, Store* store, VersionedHeader* clone) {
  if (!clone->header.pending || clone->header.pending->kind != PendingKind::kClone) {
    co_return OkStatus();
  }
  const PendingOperation pending = *clone->header.pending;
  const auto source = co_await ReadHeader(store, pending.uuid, ReadFor::kAct);
  if (!source.ok() && source.code() != Code::kNotFound) co_return source.status();
  const bool alive = source.ok() && source->header.state == HeaderState::kLive;
  bool finished = false;
  const Status status = co_await ChangeHeader(env, store, clone, [&](Header* header) -> Status {
    // By somebody else, who saw the snapshot: the clone stands on its own from then on.
    finished = header->pending != pending;
    if (finished) return {Code::kExists, "finished already"};
    if (!alive) header->state = HeaderState::kRemoved;
    header->pending.reset();
    return {};
  });
  if (finished) co_return OkStatus();
  CO_RETURN_IF_ERROR(status);
  if (alive) co_return OkStatus();
  co_return Status(Code::kNotFound, fmt::format("{} was a clone of a snapshot that was removed "
                                                "before the clone was made",
                                                clone->header.name));
}

Status ApplyRollback(const PendingOperation& pending, Header* volume) {
  if (!volume->pending || volume->pending->uuid != pending.uuid ||
      volume->pending->kind != PendingKind::kRollback) {
    return {Code::kConflict, "the rollback was taken back"};
  }
  volume->map = pending.map;
  volume->size = pending.size;
  // A holder that was sealed out may have prepared some of the next ones, and may hold them yet.
  volume->epoch += VolumeMap::kMostAhead + 1;
  volume->generation += VolumeMap::kMostAhead + 1;
  volume->begun = volume->sync_failed = false;
  volume->opening = 0;
  volume->refs += 1;
  volume->pending.reset();
  return {};
}

ResourceInfo Describe(const Header& header, const std::string& store_name) {
  ResourceInfo info;
  info.uuid = header.uuid;
  info.kind =
      header.kind == HeaderKind::kSnapshot ? ResourceKind::kSnapshot : ResourceKind::kVolume;
  info.name_space = header.name_space;
  info.name = header.name;
  info.size = header.size;
  info.logical_block = header.logical_block;
  info.physical_block = header.physical_block;
  info.store = store_name;
  info.parent = header.parent;
  info.created_ns = header.created_ns;
  info.modified_ns = header.modified_ns;
  info.epoch = header.epoch;
  info.generation = header.generation;
  info.read_only_reason = header.read_only_reason;
  return info;
}

}  // namespace atl
