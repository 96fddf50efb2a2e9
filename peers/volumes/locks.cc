// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/locks.h"

#include <fmt/format.h>

#include <algorithm>

namespace atl {
namespace {

// A holder that runs answers for its locks at once; one that does not may still have I/O in flight.
constexpr int64_t kWaitForRunning = 0;
constexpr int64_t kWaitForDead = 10 * kSecond;
constexpr int kMaxSwaps = 100;

Status Contended(std::string_view name) {
  return {Code::kBusy, fmt::format("the lock of {} is changed by others all the time", name)};
}

Status BeingRemoved(std::string_view name) {
  return {Code::kNotFound, fmt::format("{} is being removed", name)};
}

// Ok if nobody holds the current journal of a volume whose blob is lost. kCorrupt if that is lost,
// too: then nothing is left to tell.
Task<Status> CheckNobodyAppends(Store* store, Header header) {
  const auto usage = co_await store->LogUsage(header.journal());
  if (usage.code() == Code::kNotFound) co_return co_await CheckCurrentIsThere(store, header);
  if (!usage.ok()) co_return usage.status();
  const Status adopted = co_await store->AdoptLog(header.journal(), 0);
  if (adopted.ok()) co_await store->DisownLog(header.journal());
  co_return adopted.code() == Code::kFenced ? OkStatus() : adopted;
}

}  // namespace

Task<Result<Locks::Versioned>> Locks::Read(Store* store, Uuid uuid, ReadFor purpose) {
  const RecordKey key = RecordKey::Of(RecordKind::kLock, uuid);
  auto record = co_await store->GetRecord(key, purpose);
  if (record.code() == Code::kNotFound) {
    Versioned free;
    free.record.resource = uuid;
    co_return free;
  }
  if (!record.ok()) co_return record.status();
  auto decoded = DecodeLockRecord(record->payload, uuid);
  if (!decoded.ok()) co_return decoded.status().With(key.ToString());
  co_return Versioned{*std::move(decoded), record->version};
}

Task<Status> Locks::Swap(Store* store, const Versioned& before, LockRecord next) {
  const RecordKey key = RecordKey::Of(RecordKind::kLock, next.resource);
  CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeLockRecord(next));
  const auto version = co_await store->SwapRecord(key, before.version, bytes, env_->NewUuid());
  co_return version.ok() ? OkStatus() : version.status();
}

Task<bool> Locks::IsLive(Store* store, Uuid incarnation) {
  if (incarnation == identity_->incarnation) co_return true;
  const auto lease = co_await ReadLease(store, incarnation);
  if (lease.code() == Code::kNotFound) co_return false;
  co_return !lease.ok() || !IsKnownDead(*lease, *identity_);
}

// A blob that can be adopted is proof only while it is the current one: a living holder gives it up
// when it has pinned a new epoch.
Task<Status> Locks::ProveGone(Store* store, Uuid uuid, bool dead, std::optional<BlobId>* adopted) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    const auto header = co_await ReadHeader(store, uuid, ReadFor::kAct);
    if (!header.ok()) co_return header.status();
    if (header->header.kind != HeaderKind::kVolume) co_return OkStatus();
    const BlobId blob = header->header.blob();
    const auto usage = co_await store->Usage(blob);
    if (usage.code() == Code::kNotFound && header->header.begun) {
      // Lost, and not to be made anew. Its holder has the journal as well; what a dead one has in
      // flight finds nothing to change.
      if (dead) co_return OkStatus();
      CO_RETURN_IF_ERROR(co_await CheckNobodyAppends(store, header->header));
      co_return OkStatus();
    }
    const Status status = co_await store->Adopt(blob, dead ? kWaitForDead : kWaitForRunning);
    // Sealed: of a dead holder nothing lands any more, a living one begins a new epoch.
    if (status.code() == Code::kFenced) {
      co_return dead ? OkStatus() : Status(Code::kBusy, std::string(status.message()));
    }
    if (!status.ok()) {
      co_await store->Disown(blob);  // It may be ours though that was not told.
      co_return status;
    }
    const auto again = co_await ReadHeader(store, uuid, ReadFor::kAct);
    if (again.ok() && again->header.epoch == header->header.epoch) {
      adopted->emplace(blob);
      co_return OkStatus();
    }
    co_await store->Disown(blob);
    if (!again.ok()) co_return again.status();
  }
  co_return Contended(uuid.ToString());
}

Task<Status> Locks::CheckGone(Store* store, Uuid incarnation, Uuid uuid, std::string name,
                              std::optional<BlobId>* adopted) {
  const auto lease = co_await ReadLease(store, incarnation);
  if (lease.code() == Code::kNotFound) co_return OkStatus();
  if (!lease.ok() && lease.code() != Code::kCorrupt) co_return lease.status();
  if (lease.ok() && lease->ended) co_return OkStatus();
  if (store->info().capabilities.proves_death && (!lease.ok() || lease->boot == identity_->boot)) {
    const bool dead = lease.ok() && IsKnownDead(*lease, *identity_);
    const Status proven = co_await ProveGone(store, uuid, dead, adopted);
    if (proven.code() != Code::kBusy) co_return proven;
  }
  if (!lease.ok()) co_return lease.status().With(name + " is in use");
  co_return Status(Code::kBusy,
                   fmt::format("{} is in use by node {} (process {}, {}); close it there, or use "
                               "'atoll unlock --force {}' once that node is known to be dead",
                               name, lease->node, lease->pid, lease->control_address, name));
}

// A removal whose node died before its commit is no removal. Nor is one of our own: while it is at
// work nobody else gets in here, so it is of a composer that has died, whose successor we are.
Task<bool> Locks::IsBeingRemoved(Store* store, LockRecord lock) {
  if (lock.mode != LockMode::kRemoving || lock.holder == identity_->incarnation) co_return false;
  co_return co_await IsLive(store, lock.holder);
}

Task<Status> Locks::AcquireWriter(Store* store, Uuid uuid, std::string name,
                                  std::optional<BlobId>* taken) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
    LockRecord next = before.record;
    if (co_await IsBeingRemoved(store, next)) co_return BeingRemoved(name);
    if (next.mode == LockMode::kRemoving) {
      next.mode = LockMode::kFree;
      next.holder = Uuid();
    }
    if (next.mode == LockMode::kWriter) {
      if (next.holder == identity_->incarnation) co_return OkStatus();
      CO_RETURN_IF_ERROR(co_await CheckGone(store, next.holder, uuid, name, taken));
    }
    next.mode = LockMode::kWriter;
    next.holder = identity_->incarnation;
    next.readers.clear();
    next.generation += 1;
    const Status status = co_await Swap(store, before, next);
    if (status.ok()) co_return status;
    if (*taken) co_await store->Disown(**taken);
    taken->reset();
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Contended(name);
}

Task<Status> Locks::ConfirmWriter(Store* store, Uuid uuid, std::string name) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
    LockRecord next = before.record;
    if (next.mode == LockMode::kWriter) {
      if (next.holder == identity_->incarnation) co_return OkStatus();
      co_return Status(Code::kBusy, fmt::format("{} was taken by another node meanwhile", name));
    }
    if (co_await IsBeingRemoved(store, next)) co_return BeingRemoved(name);
    next.mode = LockMode::kWriter;
    next.holder = identity_->incarnation;
    next.readers.clear();
    next.generation += 1;
    const Status status = co_await Swap(store, before, next);
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Contended(name);
}

Task<Status> Locks::AcquireReader(Store* store, Uuid uuid, std::string name) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
    LockRecord next = before.record;
    if (co_await IsBeingRemoved(store, next)) co_return BeingRemoved(name);
    if (next.mode == LockMode::kRemoving) {
      next.mode = LockMode::kFree;
      next.holder = Uuid();
    }
    auto& readers = next.readers;
    if (std::ranges::count(readers, identity_->incarnation) > 0) co_return OkStatus();
    if (readers.size() == kMaxLockReaders) {
      std::vector<Uuid> live;
      for (const Uuid& reader : readers) {
        if (co_await IsLive(store, reader)) live.push_back(reader);
      }
      readers = std::move(live);
    }
    if (readers.size() == kMaxLockReaders) {
      co_return Status(Code::kLimit, fmt::format("{} is open on {} nodes, which is the most", name,
                                                 kMaxLockReaders));
    }
    readers.push_back(identity_->incarnation);
    next.mode = LockMode::kReaders;
    next.generation += 1;
    const Status status = co_await Swap(store, before, next);
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Contended(name);
}

Task<Status> Locks::CheckHeld(Store* store, Uuid uuid) {
  CO_ASSIGN_OR_RETURN(const Versioned lock, co_await Read(store, uuid));
  const LockRecord& record = lock.record;
  const bool ours = record.mode == LockMode::kReaders
                        ? std::ranges::count(record.readers, identity_->incarnation) > 0
                        : record.holder == identity_->incarnation;
  if (ours) co_return OkStatus();
  const auto info = co_await Describe(store, uuid);  // For people: it is lost whoever has it.
  const std::string holder = info.ok() ? info->holder : "";
  co_return Status(
      Code::kFenced,
      holder.empty() ? "its lock was broken by force"
                     : fmt::format("its lock was broken by force, and is held by {} now", holder));
}

Task<Status> Locks::Release(Store* store, Uuid uuid) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
    LockRecord next = before.record;
    const bool alone = next.mode == LockMode::kWriter || next.mode == LockMode::kRemoving;
    if (alone && next.holder == identity_->incarnation) {
      next.mode = LockMode::kFree;
      next.holder = Uuid();
    } else if (next.mode == LockMode::kReaders &&
               std::erase(next.readers, identity_->incarnation) > 0) {
      if (next.readers.empty()) next.mode = LockMode::kFree;
    } else {
      co_return OkStatus();
    }
    const Status status = co_await Swap(store, before, next);
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Contended(uuid.ToString());
}

Task<Status> Locks::CheckNobodyIn(Store* store, LockRecord lock, std::string name, Uuid except) {
  std::vector<Uuid> inside = lock.readers;
  if (!lock.holder.is_zero()) inside.push_back(lock.holder);
  for (const Uuid& incarnation : inside) {
    if (incarnation == except || !co_await IsLive(store, incarnation)) continue;
    const auto lease = co_await ReadLease(store, incarnation);
    const bool ours = incarnation == identity_->incarnation;
    co_return Status(
        Code::kBusy,
        fmt::format("{} is in use {}", name,
                    ours ? "on this node"
                         : "by node " + (lease.ok() ? lease->node : incarnation.ToString())));
  }
  co_return OkStatus();
}

Task<Status> Locks::MarkRemoving(Store* store, Uuid uuid, std::string name) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
    LockRecord next = before.record;
    const bool removing = next.mode == LockMode::kRemoving;
    if (removing && next.holder == identity_->incarnation) co_return OkStatus();
    // It is not open here; that our name stands there yet is a release that the store has refused.
    CO_RETURN_IF_ERROR(co_await CheckNobodyIn(store, next, name, identity_->incarnation));
    next.mode = LockMode::kRemoving;
    next.holder = identity_->incarnation;
    next.readers.clear();
    next.generation += 1;
    const Status status = co_await Swap(store, before, next);
    if (status.code() != Code::kConflict) co_return status;
  }
  co_return Contended(name);
}

// Who takes or frees the lock meanwhile is looked at anew.
Task<Status> Locks::Break(Store* store, Header header, bool force) {
  for (int attempt = 0; attempt < kMaxSwaps; ++attempt) {
    const Status broken = co_await BreakOnce(store, header, force);
    if (broken.code() != Code::kConflict) co_return broken;
  }
  co_return Contended(header.name);
}

Task<Status> Locks::BreakOnce(Store* store, Header header, bool force) {
  const Uuid uuid = header.uuid;
  const std::string name = header.name;
  CO_ASSIGN_OR_RETURN(const Versioned before, co_await Read(store, uuid));
  const LockMode mode = before.record.mode;
  if (mode == LockMode::kFree && !force) co_return OkStatus();
  const bool may_write = mode == LockMode::kFree || mode == LockMode::kWriter;
  Status gone;
  std::optional<BlobId> adopted;
  if (!may_write) {
    gone = co_await CheckNobodyIn(store, before.record, name, identity_->incarnation);
  } else if (mode == LockMode::kFree) {
    // A break that was cut short may have left the holder unsealed.
    gone = co_await ProveGone(store, uuid, false, &adopted);
  } else if (before.record.holder != identity_->incarnation) {
    gone = co_await CheckGone(store, before.record.holder, uuid, name, &adopted);
  }
  const bool unknown = gone.code() == Code::kBusy || gone.code() == Code::kCorrupt;
  if (!gone.ok() && !(force && unknown)) co_return gone;
  if (!gone.ok() && may_write && store->info().capabilities.seal == SealKind::kNone) {
    co_return Status(Code::kUnsupported,
                     fmt::format("{}; store {} cannot seal a volume against a living holder, so "
                                 "stop that process first",
                                 gone.message(), store->info().name));
  }
  LockRecord next = before.record;
  next.mode = LockMode::kFree;
  next.holder = Uuid();
  next.readers.clear();
  next.generation += 1;
  const Status freed = co_await Swap(store, before, next);
  // Not before the lock is free: a holder that is about to open would then have it, and no lock.
  if (adopted) co_await store->Disown(*adopted);
  CO_RETURN_IF_ERROR(freed);
  if (gone.ok() || !may_write) co_return OkStatus();
  // The holder runs, or nobody can know. What it submits must not change what is read from now on.
  // The write log first: whoever finds the others sealed reads it.
  if (header.opening != 0) {
    CO_RETURN_IF_ERROR(co_await store->Seal(WriteLogOf(header.uuid, header.opening)));
  }
  const auto blob = co_await store->Usage(header.blob());
  const auto log = co_await store->LogUsage(header.journal());
  // Sealing makes what is absent. What is lost must stay so.
  const auto lost = [&header](Code code) { return header.begun && code == Code::kNotFound; };
  if (!lost(blob.code())) CO_RETURN_IF_ERROR(co_await store->Seal(header.blob()));
  if (!lost(log.code())) CO_RETURN_IF_ERROR(co_await store->SealLog(header.journal()));
  co_return OkStatus();
}

Task<Result<LockInfo>> Locks::Describe(Store* store, Uuid uuid) {
  CO_ASSIGN_OR_RETURN(const Versioned lock, co_await Read(store, uuid, ReadFor::kLook));
  LockInfo info;
  info.generation = lock.record.generation;
  switch (lock.record.mode) {
    case LockMode::kFree:
      info.mode = "free";
      break;
    case LockMode::kWriter:
      info.mode = "writer";
      break;
    case LockMode::kReaders:
      info.mode = "readers";
      break;
    case LockMode::kRemoving:
      info.mode = "removing";
      break;
  }
  if (!lock.record.holder.is_zero()) {
    const auto lease = co_await ReadLease(store, lock.record.holder);
    info.holder = lease.ok() ? fmt::format("{} (process {})", lease->node, lease->pid)
                             : lock.record.holder.ToString() + " (its lease has ended)";
  } else if (!lock.record.readers.empty()) {
    const size_t readers = lock.record.readers.size();
    info.holder = fmt::format("{} reader{}", readers, readers == 1 ? "" : "s");
  }
  co_return info;
}

}  // namespace atl
