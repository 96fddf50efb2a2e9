// SPDX-License-Identifier: Apache-2.0
#include "peers/store/memory/memory_store.h"

#include <algorithm>
#include <utility>

#include "peers/store/limits.h"
#include "peers/store/memory/memory_flight.h"
#include "peers/store/sha256.h"

namespace atl {
namespace {

constexpr int64_t kFirstBackoffNs = 100 * kMicrosecond;
constexpr int64_t kLastBackoffNs = 20 * kMillisecond;

}  // namespace

MemoryStore::MemoryStore(Env& env, MemoryStoreOptions options)
    : env_(env),
      options_(std::move(options)),
      own_world_(options_.world ? nullptr : std::make_unique<MemoryWorld>(options_.own_world)),
      world_(options_.world ? *options_.world : *own_world_) {
  info_.name = options_.name;
  info_.driver = "memory";
  info_.location = "heap";
  info_.uuid = world_.uuid();
  info_.capabilities = {.durable_at_ack = world_.options().durable_at_ack,
                        .holds_records = true,
                        .proves_death = true,
                        .seal = SealKind::kTable,
                        .atomic_unit = kSector,
                        .punch = Support::kNative,
                        .zero = Support::kNative,
                        .extents = Support::kNative,
                        .tells_allocation = true};
  info_.cache = {.boot = world_.uuid(), .mount = world_.boots_, .trusted = true};
  instance_ = world_.next_instance_++;
  world_.stores_.insert(this);
  world_.alive_.insert(instance_);
}

MemoryStore::~MemoryStore() {
  CHECK(running_ == 0) << "a memory store is destroyed with operations under way";
  world_.stores_.erase(this);
  world_.alive_.erase(instance_);
}

void MemoryStore::Die(int64_t late_ns) {
  dead_ = true;
  lands_at_ns_ = env_.BootNs() + late_ns;
  world_.alive_.erase(instance_);
}

void MemoryStore::LosePower() {
  dead_ = true;
  power_lost_ = true;
}

Status MemoryStore::Alive() const {
  if (dead_) return {Code::kUnavailable, info_.name + ": this instance is dead"};
  if (closed_) return {Code::kUnavailable, info_.name + ": closed"};
  return {};
}

Task<void> MemoryStore::Travel() {
  if (!travels()) co_return;
  const int64_t spread = options_.max_delay_ns - options_.min_delay_ns + 1;
  const auto extra = static_cast<int64_t>(env_.Random() % static_cast<uint64_t>(spread));
  co_await env_.Sleep(options_.min_delay_ns + extra);
  while (dead_ && !power_lost_ && env_.BootNs() < lands_at_ns_) {
    co_await env_.Sleep(lands_at_ns_ - env_.BootNs());
  }
}

Task<Result<Capacity>> MemoryStore::GetCapacity() {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  const SpaceBudget& budget = world_.budget_;
  const uint64_t taken = std::min(budget.used + budget.reserve, budget.limit);
  co_return Capacity{.total_bytes = budget.limit,
                     .free_bytes = budget.limit - taken,
                     .reserve_bytes = budget.reserve};
}

Task<void> MemoryStore::Close() {
  closed_ = true;
  while (running_ > 0) co_await ended_;
  if (dead_) co_return;
  const auto release = [this](auto& things) {
    for (auto& [id, thing] : things) {
      if (thing->owner == instance_) thing->owner = 0;
    }
  };
  release(world_.blobs_);
  release(world_.logs_);
}

// --- Who may write -------------------------------------------------------------------------------

template <typename Things, typename Make, typename Id>
Task<Status> MemoryStore::AdoptIn(Things& things, Make make, Id id, int64_t wait_ns) {
  const int64_t deadline_ns = env_.BootNs() + wait_ns;
  const Flight flight(this);
  if (travels()) co_await Travel();
  for (int64_t backoff_ns = kFirstBackoffNs;;
       backoff_ns = std::min(2 * backoff_ns, kLastBackoffNs)) {
    CO_RETURN_IF_ERROR(Alive());
    auto at = things.find(id);
    if (at == things.end()) at = things.emplace(id, make()).first;
    World::Medium& medium = *at->second;
    if (medium.sealed) co_return Status(Code::kFenced, Named(id) + " is sealed");
    if (medium.owner == instance_) co_return OkStatus();
    // As a kernel keeps the lock of a dead process while a request of it is in flight.
    if (!world_.alive_.contains(medium.owner) && medium.in_flight == 0) {
      medium.owner = instance_;
      co_return OkStatus();
    }
    const int64_t left_ns = deadline_ns - env_.BootNs();
    if (left_ns <= 0) co_return Status(Code::kBusy, Named(id) + " is held by another instance");
    co_await env_.Sleep(std::min(backoff_ns, left_ns));
  }
}

template <typename Things, typename Id>
Task<void> MemoryStore::DisownIn(Things& things, Id id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  const auto at = things.find(id);
  if (at == things.end() || at->second->owner != instance_ || dead_) co_return;
  const std::shared_ptr<World::Medium> medium = at->second;
  while (medium->in_flight > 0 && !dead_) co_await ended_;
  if (!dead_) medium->owner = 0;
}

Task<Status> MemoryStore::Adopt(const BlobId& blob, int64_t wait_ns) {
  const auto make = [this] { return world_.NewBlob(); };
  co_return co_await AdoptIn(world_.blobs_, make, blob, wait_ns);
}
Task<Status> MemoryStore::AdoptLog(const LogId& log, int64_t wait_ns) {
  const auto make = [this] { return world_.NewLog(); };
  co_return co_await AdoptIn(world_.logs_, make, log, wait_ns);
}
Task<void> MemoryStore::Disown(const BlobId& blob) { return DisownIn(world_.blobs_, blob); }
Task<void> MemoryStore::DisownLog(const LogId& log) { return DisownIn(world_.logs_, log); }

Task<Status> MemoryStore::Seal(const BlobId& blob) {
  CO_RETURN_IF_ERROR(Alive());
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  auto& slot = world_.blobs_[blob];
  if (!slot) slot = world_.NewBlob();
  slot->sealed = true;
  slot->entry_durable = true;
  co_return flight.Tell(OkStatus());
}

Task<Status> MemoryStore::SealLog(const LogId& log) {
  CO_RETURN_IF_ERROR(Alive());
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  auto& slot = world_.logs_[log];
  if (!slot) slot = world_.NewLog();
  slot->sealed = true;
  slot->entry_durable = true;
  co_return flight.Tell(OkStatus());
}

// --- Logs ----------------------------------------------------------------------------------------

Task<Status> MemoryStore::Reserve(const LogId& id, uint64_t length) {
  CO_RETURN_IF_ERROR(CheckLogLength(id, length));
  CO_ASSIGN_OR_RETURN(const auto log, Mine(world_.logs_, id));
  const Flight flight(this, log);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  const uint64_t wanted = std::max({length, log->reserved, log->end});
  if (!world_.Claim(*log, wanted)) {
    co_return flight.Tell({Code::kNoSpace, Named(id) + ": the store and its reserve are full"});
  }
  log->reserved = wanted;
  co_return flight.Tell(OkStatus());
}

Task<Status> MemoryStore::Append(const LogId& id, uint64_t position, ConstSpan data) {
  CO_RETURN_IF_ERROR(CheckLogIo(id, position, data.size()));
  CO_ASSIGN_OR_RETURN(const auto log, Mine(world_.logs_, id));
  const Flight flight(this, log);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  if (position > log->end) {
    co_return flight.Tell({Code::kInvalid, Named(id) + ": an append would leave a gap"});
  }
  const uint64_t end = std::max(log->end, position + data.size());
  if (!world_.Claim(*log, std::max(end, log->reserved))) {
    co_return flight.Tell({Code::kNoSpace, Named(id) + ": the store and its reserve are full"});
  }
  CHECK(log->space.Write(position, data));
  log->end = end;
  co_return flight.Tell(OkStatus());
}

Task<Status> MemoryStore::SyncLog(const LogId& id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto log, Find(world_.logs_, id));
  log->space.Sync();
  log->durable_end = log->end;
  log->entry_durable = true;
  if (travels()) co_await Travel();
  co_return Alive();
}

Task<Result<size_t>> MemoryStore::ReadLog(const LogId& id, uint64_t position, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckLogIo(id, position, out.size()));
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto log, Find(world_.logs_, id));
  if (position >= log->end) co_return size_t{0};
  const size_t got = std::min<uint64_t>(out.size(), log->end - position);
  log->space.Read(position, out.first(got));
  co_return got;
}

Task<Status> MemoryStore::TrimLog(const LogId& id, uint64_t length) {
  CO_RETURN_IF_ERROR(CheckLogLength(id, length));
  CO_ASSIGN_OR_RETURN(const auto log, Mine(world_.logs_, id));
  const Flight flight(this, log);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  log->reserved = std::min(log->reserved, std::max(length, log->end));
  CHECK(world_.Claim(*log, std::max(log->reserved, log->end)));
  co_return flight.Tell(OkStatus());
}

Task<Result<uint64_t>> MemoryStore::LogUsage(const LogId& id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto log, Find(world_.logs_, id));
  co_return log->claimed;
}

Task<Status> MemoryStore::RemoveLog(const LogId& id) {
  CO_RETURN_IF_ERROR(Alive());
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  const auto at = world_.logs_.find(id);
  if (at == world_.logs_.end()) co_return flight.Tell(Missing(id));
  at->second->removed = true;
  world_.Forget(*at->second);
  world_.logs_.erase(at);
  co_return flight.Tell(OkStatus());
}

Task<Result<Page<LogId>>> MemoryStore::ListLogs(std::optional<LogId> after, uint32_t limit) {
  return ListIn(world_.logs_, after, limit);
}

// --- Chunks --------------------------------------------------------------------------------------

Task<Status> MemoryStore::PutChunk(const ChunkId& id, ConstSpan data) {
  CO_RETURN_IF_ERROR(Alive());
  CO_RETURN_IF_ERROR(CheckChunk(id, data.size()));
  Bytes copy(data.begin(), data.end());
  if (Sha256(copy) != id) {
    co_return Status(Code::kInvalid, Named(id) + ": the content has another hash");
  }
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  if (!world_.chunks_.contains(id)) {
    if (!world_.budget_.Take(copy.size(), SpaceBudget::Purpose::kData)) {
      co_return flight.Tell({Code::kNoSpace, Named(id) + ": the store is full"});
    }
    world_.chunks_.emplace(id, std::move(copy));
  }
  co_return flight.Tell(OkStatus());
}

Task<Result<Bytes>> MemoryStore::GetChunk(const ChunkId& id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  const auto at = world_.chunks_.find(id);
  if (at == world_.chunks_.end()) co_return Missing(id);
  co_return at->second;
}

Task<Status> MemoryStore::RemoveChunk(const ChunkId& id) {
  CO_RETURN_IF_ERROR(Alive());
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  const auto at = world_.chunks_.find(id);
  if (at == world_.chunks_.end()) co_return flight.Tell(Missing(id));
  world_.budget_.Give(at->second.size());
  world_.chunks_.erase(at);
  co_return flight.Tell(OkStatus());
}

Task<Result<Page<ChunkId>>> MemoryStore::ListChunks(std::optional<ChunkId> after, uint32_t limit) {
  return ListIn(world_.chunks_, after, limit);
}

}  // namespace atl
