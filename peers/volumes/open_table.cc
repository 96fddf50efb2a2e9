// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/open_table.h"

#include <fmt/format.h>

#include "peers/volumes/transitions.h"

namespace atl {
namespace {

Status InUse(const std::string& name, uint64_t clients) {
  if (clients == 0) {
    return {Code::kBusy,
            fmt::format("{} is held open on this node; 'atoll close {}' first", name, name)};
  }
  return {Code::kBusy,
          fmt::format("{} is in use on this node by {} {}; disconnect {} first", name, clients,
                      clients == 1 ? "client" : "clients", clients == 1 ? "it" : "them")};
}

}  // namespace

OpenTable::Use::Use(OpenTable* table, std::shared_ptr<Entry> entry)
    : table_(table), entry_(std::move(entry)) {}

OpenTable::Use::Use(Use&& other) noexcept
    : table_(other.table_), entry_(std::exchange(other.entry_, nullptr)) {}

OpenTable::Use& OpenTable::Use::operator=(Use&& other) noexcept {
  if (this != &other) {
    Leave();
    table_ = other.table_;
    entry_ = std::exchange(other.entry_, nullptr);
  }
  return *this;
}

bool OpenTable::Use::alive() const {
  return entry_ != nullptr && entry_->state == Entry::State::kOpen;
}

Status OpenTable::Use::CheckAlive() const {
  return alive() ? OkStatus() : Status(Code::kUnavailable, "this node is stopping");
}

Composer& OpenTable::Use::composer() const { return *entry_->composer; }

Mutex& OpenTable::Use::exclusive() const { return entry_->exclusive; }

void OpenTable::Use::Leave() {
  if (entry_ == nullptr) return;
  const auto entry = std::exchange(entry_, nullptr);
  CHECK(entry->users > 0);
  --entry->users;
  table_->Left(entry);
}

OpenTable::Exclusion::Exclusion(OpenTable* table, std::shared_ptr<Entry> entry)
    : table_(table), entry_(std::move(entry)) {}

OpenTable::Exclusion::Exclusion(Exclusion&& other) noexcept
    : table_(other.table_), entry_(std::exchange(other.entry_, nullptr)) {}

void OpenTable::Exclusion::End() {
  const auto entry = std::exchange(entry_, nullptr);
  if (entry == nullptr) return;
  table_->entries_.erase(entry->uuid);
  entry->closed.Set();
}

OpenTable::OpenTable(Env* env, StoreSet* stores, MapOpener* maps, BufferPool* buffers,
                     const NodeIdentity* identity, Locks* locks, ComposerOptions options)
    : env_(env),
      stores_(stores),
      maps_(maps),
      buffers_(buffers),
      identity_(identity),
      locks_(locks),
      options_(options),
      leases_(stores->size()),
      watches_(stores->size()) {}

OpenTable::~OpenTable() = default;

Task<Result<LeaseKeeper*>> OpenTable::Lease(StoreSlot slot) {
  const auto lock = co_await lease_mutex_.Lock();
  auto& lease = leases_[slot];
  // One that could not start is kept: its record may be there though that was not told.
  if (!lease) lease = std::make_unique<LeaseKeeper>(env_, &stores_->at(slot), identity_);
  CO_RETURN_IF_ERROR(co_await lease->Start());
  co_return lease.get();
}

bool OpenTable::is_open(const Uuid& uuid) const {
  const auto found = entries_.find(uuid);
  return found != entries_.end() && found->second->state != Entry::State::kExcluded;
}

bool OpenTable::serves(const Uuid& uuid) const {
  const auto entry = Find(uuid);
  const bool fenced = entry != nullptr && entry->composer != nullptr && entry->composer->fenced();
  return is_open(uuid) && !fenced;
}

uint64_t OpenTable::users(const Uuid& uuid) const {
  const auto found = entries_.find(uuid);
  return found == entries_.end() ? 0 : found->second->users;
}

std::shared_ptr<OpenTable::Entry> OpenTable::Find(const Uuid& uuid) const {
  const auto found = entries_.find(uuid);
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<std::pair<Uuid, std::shared_ptr<OpenTable::Entry>>> OpenTable::Snapshot() const {
  return {entries_.begin(), entries_.end()};
}

Task<Result<OpenTable::Use>> OpenTable::Get(StoreSlot slot, Uuid uuid) {
  while (true) {
    if (shutting_down_) co_return Status(Code::kUnavailable, "this node is stopping");
    if (const auto found = entries_.find(uuid); found != entries_.end()) {
      const std::shared_ptr<Entry> entry = found->second;
      if (entry->state == Entry::State::kClosing || entry->state == Entry::State::kExcluded) {
        co_await entry->closed;
        continue;
      }
      ++entry->users;
      ++entry->turn;
      co_await entry->settled;
      if (!entry->status.ok()) co_return entry->status;
      Use use(this, entry);
      co_await CheckLock(entry);
      if (!use.alive()) continue;
      if (!entry->composer->fenced()) co_return std::move(use);
      if (entry->users > 1) co_return entry->composer->failed();
      use.Leave();
      (void)co_await Close(entry);
      continue;
    }
    const auto entry = std::make_shared<Entry>();
    entry->uuid = uuid;
    entry->slot = slot;
    entry->users = 1;
    entries_.emplace(uuid, entry);
    Watch(slot);
    entry->status = co_await Open(entry);
    entry->state = entry->status.ok() ? Entry::State::kOpen : Entry::State::kClosed;
    if (!entry->status.ok()) entries_.erase(uuid);
    entry->settled.Set();
    if (!entry->status.ok()) co_return entry->status;
    co_return Use(this, entry);
  }
}

Task<Status> OpenTable::Open(std::shared_ptr<Entry> entry) {
  Store& store = stores_->at(entry->slot);
  CO_ASSIGN_OR_RETURN(const VersionedHeader found,
                      co_await ReadHeader(&store, entry->uuid, ReadFor::kAct));
  const bool snapshot = found.header.kind == HeaderKind::kSnapshot;
  auto composer = snapshot ? co_await OpenSnapshot(entry->slot, entry->uuid)
                           : co_await OpenVolume(entry->slot, entry->uuid);
  if (!composer.ok()) co_return composer.status();
  entry->composer = *std::move(composer);
  co_return OkStatus();
}

std::unique_ptr<Composer> OpenTable::MakeComposer(std::unique_ptr<MapApi> map, LeaseKeeper* lease) {
  return std::make_unique<Composer>(
      env_, stores_, buffers_, std::move(map), [lease] { return lease->Valid(); }, options_);
}

Task<Result<std::unique_ptr<Composer>>> OpenTable::OpenVolume(StoreSlot slot, Uuid uuid) {
  Store& store = stores_->at(slot);
  CO_ASSIGN_OR_RETURN(LeaseKeeper* const lease, co_await Lease(slot));
  CO_ASSIGN_OR_RETURN(const VersionedHeader seen, co_await ReadHeader(&store, uuid, ReadFor::kAct));
  const std::string name = seen.header.name;
  std::optional<BlobId> taken;
  const Status acquired = co_await locks_->AcquireWriter(&store, uuid, name, &taken);
  if (!acquired.ok()) co_return co_await NotAcquired(slot, uuid, acquired);
  auto map = co_await OpenLocked(slot, uuid, name);
  if (!map.ok()) (void)co_await ReleaseLock(slot, uuid);
  // What is current by now is the map's own.
  if (taken && (!map.ok() || *taken != (*map)->geometry().own)) co_await store.Disown(*taken);
  if (!map.ok()) co_return map.status();
  co_return MakeComposer(*std::move(map), lease);
}

Task<Result<std::unique_ptr<MapApi>>> OpenTable::OpenLocked(StoreSlot slot, Uuid uuid,
                                                            std::string name) {
  CO_RETURN_IF_ERROR(co_await RecordFailure(slot, uuid));
  CO_RETURN_IF_ERROR(co_await Settle(slot, uuid));
  auto map = co_await maps_->OpenWritable(slot, uuid);
  if (!map.ok()) co_return map.status();
  const Status confirmed = co_await locks_->ConfirmWriter(&stores_->at(slot), uuid, name);
  if (confirmed.ok()) co_return *std::move(map);
  (void)co_await (*map)->Close();
  co_return confirmed;
}

Task<Result<std::unique_ptr<Composer>>> OpenTable::OpenSnapshot(StoreSlot slot, Uuid uuid) {
  Store& store = stores_->at(slot);
  CO_ASSIGN_OR_RETURN(LeaseKeeper* const lease, co_await Lease(slot));
  // In the lock first, then the header: a removal in between is seen.
  const Status acquired = co_await locks_->AcquireReader(&store, uuid, uuid.ToString());
  if (!acquired.ok()) co_return co_await NotAcquired(slot, uuid, acquired);
  auto map = co_await maps_->OpenFrozen(slot, uuid);
  if (map.ok()) co_return MakeComposer(*std::move(map), lease);
  (void)co_await ReleaseLock(slot, uuid);
  co_return map.status();
}

bool OpenTable::has_unrecorded_failure(const Uuid& uuid) const {
  const auto entry = Find(uuid);
  return unrecorded_.contains(uuid) ||
         (entry != nullptr && entry->composer != nullptr && entry->composer->failure_unrecorded());
}

Task<Status> OpenTable::RecordFailure(StoreSlot slot, Uuid uuid) {
  const auto found = unrecorded_.find(uuid);
  if (found == unrecorded_.end()) co_return OkStatus();
  const auto [reason, sync_failed] = found->second;
  Store& store = stores_->at(slot);
  CO_ASSIGN_OR_RETURN(VersionedHeader header, co_await ReadHeader(&store, uuid, ReadFor::kAct));
  const HeaderChange record = [&](Header* next) -> Status {
    if (next->read_only_reason.empty()) next->read_only_reason = reason;
    next->sync_failed |= sync_failed;
    return {};
  };
  const Status recorded = co_await ChangeHeader(env_, &store, &header, record);
  if (!recorded.ok()) {
    co_return Status(Code::kReadOnly,
                     fmt::format("volume {} is read-only: {}; that could not be recorded: {}",
                                 header.header.name, reason, recorded.ToString()));
  }
  unrecorded_.erase(uuid);
  co_return OkStatus();
}

Task<Status> OpenTable::Settle(StoreSlot slot, Uuid uuid) {
  Store& store = stores_->at(slot);
  CO_ASSIGN_OR_RETURN(VersionedHeader found, co_await ReadHeader(&store, uuid, ReadFor::kAct));
  if (!found.header.pending) co_return OkStatus();
  const PendingOperation pending = *found.header.pending;
  const auto clear = [&pending](Header* header) -> Status {
    if (header->pending == pending) header->pending.reset();
    return {};
  };
  if (pending.kind == PendingKind::kSnapshot) {
    Names names(env_, stores_);
    const Status put = co_await FinishSnapshot(env_, &names, &store, found.header, pending);
    if (!put.ok() && put.code() != Code::kExists) co_return put;
    co_return co_await ChangeHeader(env_, &store, &found, clear);
  }
  if (pending.kind == PendingKind::kClone) co_return co_await SettleClone(env_, &store, &found);
  // A rollback: it depends on the snapshot still being there.
  const auto source = co_await ReadHeader(&store, pending.uuid, ReadFor::kAct);
  const bool alive = source.ok() && source->header.state == HeaderState::kLive;
  if (!source.ok() && source.code() != Code::kNotFound) co_return source.status();
  if (!alive) co_return co_await ChangeHeader(env_, &store, &found, clear);
  co_return co_await ChangeHeader(env_, &store, &found, [&pending](Header* header) -> Status {
    return ApplyRollback(pending, header);
  });
}

// --- Locks that others break -------------------------------------------------------------------

Task<void> OpenTable::CheckLock(std::shared_ptr<Entry> entry) {
  if (entry->state != Entry::State::kOpen) co_return;
  if (!entry->composer->fenced()) {
    const Status held = co_await locks_->CheckHeld(&stores_->at(entry->slot), entry->uuid);
    if (held.code() != Code::kFenced || entry->state != Entry::State::kOpen) co_return;
    entry->composer->Lose(std::string(held.message()));
  }
  Unhold(entry->uuid);
}

void OpenTable::Watch(StoreSlot slot) {
  auto& watch = watches_[slot];
  if (watch || shutting_down_) return;
  watch = std::make_unique<Alarm>(*env_);
  background_.Run(WatchLocks(slot, watch.get()));
}

Task<void> OpenTable::WatchLocks(StoreSlot slot, Alarm* alarm) {
  while (!shutting_down_) {
    co_await alarm->Sleep(identity_->lease_term_ns / 3);
    for (const auto& [uuid, entry] : Snapshot()) {
      if (entry->slot == slot && !shutting_down_) co_await CheckLock(entry);
    }
    co_await ReleaseAgain(slot);
  }
}

Task<Status> OpenTable::ReleaseLock(StoreSlot slot, Uuid uuid) {
  const Status released = co_await locks_->Release(&stores_->at(slot), uuid);
  if (released.ok()) {
    unreleased_.erase({slot, uuid});
  } else {
    unreleased_.emplace(slot, uuid);
    Watch(slot);
  }
  co_return released;
}

Task<Status> OpenTable::NotAcquired(StoreSlot slot, Uuid uuid, Status why) {
  const Code code = why.code();
  const bool is_others = code == Code::kBusy || code == Code::kNotFound || code == Code::kFenced;
  if (!is_others) (void)co_await ReleaseLock(slot, uuid);
  co_return why;
}

Task<void> OpenTable::ReleaseAgain(StoreSlot slot) {
  const auto left = unreleased_;
  for (const auto& [in, uuid] : left) {
    if (in != slot || entries_.contains(uuid)) continue;  // What is open again is closed again.
    // Who opened it meanwhile would find the lock to be ours, and lose it to this.
    const auto closed = co_await Exclude(uuid, uuid.ToString());
    if (closed.ok()) (void)co_await ReleaseLock(slot, uuid);
  }
}

void OpenTable::Left(const std::shared_ptr<Entry>& entry) {
  if (entry->users > 0 || entry->state != Entry::State::kOpen || shutting_down_) return;
  background_.Run(CloseAfterLinger(entry, entry->turn));
}

Task<void> OpenTable::CloseAfterLinger(std::shared_ptr<Entry> entry, uint64_t turn) {
  // In naps, so that a node that stops does not wait for it.
  for (int nap = 0; nap < 20; ++nap) {
    co_await env_->Sleep(kLinger / 20);
    if (entry->turn != turn || entry->state != Entry::State::kOpen || shutting_down_) co_return;
  }
  if (entry->users == 0) (void)co_await Close(entry);
}

Task<Status> OpenTable::Close(std::shared_ptr<Entry> entry) {
  CHECK(entry->state == Entry::State::kOpen);
  entry->state = Entry::State::kClosing;
  const auto turn = co_await entry->exclusive.Lock();
  Status status = co_await entry->composer->Close();
  if (entry->composer->fenced()) status = OkStatus();  // Of another one's volume nothing is to do.
  if (entry->composer->failure_unrecorded()) {
    unrecorded_[entry->uuid] = {entry->composer->read_only_reason(),
                                entry->composer->sync_failed()};
  }
  const Status released = co_await ReleaseLock(entry->slot, entry->uuid);
  entry->composer.reset();
  entry->state = Entry::State::kClosed;
  entries_.erase(entry->uuid);
  entry->closed.Set();
  co_return status.ok() ? released : status;
}

Task<Status> OpenTable::CloseUnused(Uuid uuid, std::string name) {
  while (true) {
    const auto found = entries_.find(uuid);
    if (found == entries_.end()) co_return OkStatus();
    const std::shared_ptr<Entry> entry = found->second;
    if (entry->state == Entry::State::kOpening) {
      co_await entry->settled;
    } else if (entry->state != Entry::State::kOpen) {
      co_await entry->closed;
    } else if (entry->users > 0) {
      co_return InUse(name, entry->users - (is_held(uuid) ? 1 : 0));
    } else {
      co_return co_await Close(entry);
    }
  }
}

Task<Result<OpenTable::Exclusion>> OpenTable::Exclude(Uuid uuid, std::string name) {
  // Somebody else who waited for the same end may have been first.
  do {
    if (shutting_down_) co_return Status(Code::kUnavailable, "this node is stopping");
    CO_RETURN_IF_ERROR(co_await CloseUnused(uuid, name));
  } while (entries_.contains(uuid));
  const auto entry = std::make_shared<Entry>();
  entry->uuid = uuid;
  entry->state = Entry::State::kExcluded;
  entries_.emplace(uuid, entry);
  co_return Exclusion(this, entry);
}

Task<Status> OpenTable::OpenAndClose(StoreSlot slot, Uuid uuid) {
  auto composer = co_await OpenVolume(slot, uuid);
  if (!composer.ok()) co_return composer.status();
  const Status closed = co_await (*composer)->Close();
  const Status released = co_await ReleaseLock(slot, uuid);
  co_return closed.ok() ? released : closed;
}

Task<Status> OpenTable::Hold(StoreSlot slot, Uuid uuid) {
  auto use = co_await Get(slot, uuid);
  if (!use.ok()) co_return use.status();
  held_[uuid] = *std::move(use);
  co_return OkStatus();
}

void OpenTable::Unhold(const Uuid& uuid) { held_.erase(uuid); }

Task<Status> OpenTable::Shutdown() {
  shutting_down_ = true;
  for (const auto& watch : watches_) {
    if (watch) watch->Ring();
  }
  held_.clear();
  Status status;
  while (!entries_.empty()) {
    const std::shared_ptr<Entry> entry = entries_.begin()->second;
    if (entry->state == Entry::State::kOpening) {
      co_await entry->settled;
    } else if (entry->state != Entry::State::kOpen) {
      co_await entry->closed;
    } else {
      const Status closed = co_await Close(entry);
      if (status.ok()) status = closed;
    }
  }
  co_await background_.Join();
  for (auto& lease : leases_) {
    if (lease) co_await lease->Stop();
  }
  co_return status;
}

}  // namespace atl
