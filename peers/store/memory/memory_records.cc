// SPDX-License-Identifier: Apache-2.0
//
// Records of the memory driver. A change is seen at once and is durable when the call ends, so that
// between the two (if the store travels) power may take back what others have seen: the reason for
// ReadFor::kAct.
#include <algorithm>
#include <utility>

#include "peers/store/limits.h"
#include "peers/store/memory/memory_flight.h"

namespace atl {

void MemoryStore::MakeDurable(const RecordKey& key) {
  const auto at = world_.records_.find(key);
  if (at == world_.records_.end()) return;
  World::RecordSlot& slot = at->second;
  slot.durable = slot.now;
  slot.dirty = false;
  if (slot.empty()) world_.records_.erase(at);
}

Task<Result<Record>> MemoryStore::GetRecord(const RecordKey& key, ReadFor purpose) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  if (purpose == ReadFor::kAct) MakeDurable(key);
  const auto at = world_.records_.find(key);
  if (at == world_.records_.end() || !at->second.now) co_return Missing(key);
  const World::RecordValue& value = *at->second.now;
  co_return Record{
      .version = value.state.version, .operation = value.state.operation, .payload = value.payload};
}

Task<Result<uint64_t>> MemoryStore::SwapRecord(const RecordKey& key, uint64_t expected,
                                               ConstSpan payload, const Uuid& operation) {
  CO_RETURN_IF_ERROR(Alive());
  CO_RETURN_IF_ERROR(CheckRecordPayload(key, payload, operation));
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  World::RecordSlot& slot = world_.records_[key];
  const RecordState before = slot.now ? slot.now->state : RecordState{};
  if (before.version != expected) {
    const auto made = before.MadeBy(operation, expected);
    if (slot.empty()) world_.records_.erase(key);
    if (!made) {
      co_return flight.Tell({Code::kConflict, Named(key) + " has another version"});
    }
    MakeDurable(key);
    CO_RETURN_IF_ERROR(flight.Tell(OkStatus()));
    co_return *made;
  }
  const uint64_t version = expected > 0 ? expected + 1 : world_.floors_[key.kind] + 1;
  slot.now = {before.Next(version, operation), Bytes(payload.begin(), payload.end())};
  slot.dirty = true;
  if (travels() && !world_.options_.durable_at_ack) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  MakeDurable(key);
  CO_RETURN_IF_ERROR(flight.Tell(OkStatus()));
  co_return version;
}

Task<Status> MemoryStore::RemoveRecord(const RecordKey& key, uint64_t version,
                                       const Uuid& operation) {
  CO_RETURN_IF_ERROR(Alive());
  CO_RETURN_IF_ERROR(CheckRecordPayload(key, {}, operation));
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  const auto at = world_.records_.find(key);
  if (at == world_.records_.end() || !at->second.now) co_return flight.Tell(Missing(key));
  if (at->second.now->state.version != version) {
    co_return flight.Tell({Code::kConflict, Named(key) + " has another version"});
  }
  uint64_t& floor = world_.floors_[key.kind];
  floor = std::max(floor, version + 1);
  at->second.now.reset();
  at->second.dirty = true;
  if (travels() && !world_.options_.durable_at_ack) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  MakeDurable(key);
  co_return flight.Tell(OkStatus());
}

Task<Result<Page<RecordKey>>> MemoryStore::ListRecords(RecordKind kind,
                                                       std::optional<RecordName> after,
                                                       uint32_t limit) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  CO_RETURN_IF_ERROR(CheckPage(limit));
  const RecordKey first{.kind = kind, .name = after.value_or(RecordName{})};
  auto at = after ? world_.records_.upper_bound(first) : world_.records_.lower_bound(first);
  Page<RecordKey> page;
  for (; at != world_.records_.end() && at->first.kind == kind; ++at) {
    if (!at->second.now) continue;
    if (page.items.size() == std::min(limit, kMaxPage)) {
      page.last = false;
      break;
    }
    page.items.push_back(at->first);
  }
  co_return page;
}

Task<Result<uint64_t>> MemoryStore::Sweep(bool dry_run) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  co_return uint64_t{0};
}

}  // namespace atl
