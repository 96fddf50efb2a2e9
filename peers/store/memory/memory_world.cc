// SPDX-License-Identifier: Apache-2.0
#include "peers/store/memory/memory_world.h"

#include <algorithm>
#include <utility>

#include "peers/store/memory/memory_store.h"

namespace atl {

MemoryWorld::MemoryWorld(MemoryWorldOptions options)
    : options_(options),
      random_(options.seed),
      budget_{.limit = options.capacity_bytes, .reserve = options.reserve_bytes} {
  const uint64_t high = random_();
  uuid_ = Uuid::FromRandom(high, random_());
}

std::shared_ptr<MemoryWorld::Blob> MemoryWorld::NewBlob() {
  auto blob = std::make_shared<Blob>(&budget_, loss_random());
  blob->entry_durable = options_.durable_at_ack;
  return blob;
}

std::shared_ptr<MemoryWorld::Log> MemoryWorld::NewLog() {
  auto log = std::make_shared<Log>(loss_random());
  log->entry_durable = options_.durable_at_ack;
  return log;
}

bool MemoryWorld::Claim(Log& log, uint64_t length) {
  const uint64_t wanted = AlignUp(length, kSubGrain);
  if (wanted <= log.claimed) {
    budget_.Give(log.claimed - wanted);
  } else if (!budget_.Take(wanted - log.claimed, SpaceBudget::Purpose::kMetadata)) {
    return false;
  }
  log.claimed = wanted;
  return true;
}

// The end of a log reaches the disk on its own: it is anywhere between what was synced and what was
// written.
void MemoryWorld::Lose(Log& log) {
  if (options_.durable_at_ack) return;
  log.space.PowerLoss();
  const uint64_t unsynced = log.end - log.durable_end;
  if (unsynced > 0 && Chance()) log.end = log.durable_end + random_() % (unsynced + 1);
  log.space.Punch({log.end, kMaxVolumeSize - log.end});
  log.space.Sync();
  log.durable_end = log.end;
}

void MemoryWorld::LoseUnsynced(const BlobId& blob, uint64_t seed) {
  random_.seed(seed);
  const auto found = blobs_.find(blob);
  if (found != blobs_.end()) Lose(*found->second);
}

// Its end stays: that is in the cache.
void MemoryWorld::LoseUnsynced(const LogId& log, uint64_t seed) {
  random_.seed(seed);
  const auto found = logs_.find(log);
  if (found != logs_.end()) found->second->space.PowerLoss();
}

void MemoryWorld::PowerLoss() {
  ++boots_;
  alive_.clear();
  for (MemoryStore* store : std::exchange(stores_, {})) store->LosePower();
  const auto lose = [this](auto& things) {
    for (auto at = things.begin(); at != things.end();) {
      auto& thing = *at->second;
      thing.owner = 0;
      thing.in_flight = 0;
      Lose(thing);
      if (!std::exchange(thing.entry_durable, true) && Chance()) {
        Forget(thing);
        at = things.erase(at);
      } else {
        ++at;
      }
    }
  };
  lose(blobs_);
  lose(logs_);
  for (auto& [key, slot] : records_) {
    if (!slot.dirty) continue;
    if (Chance()) slot.now = slot.durable;
    slot.durable = slot.now;
    slot.dirty = false;
  }
  std::erase_if(records_, [](const auto& item) { return item.second.empty(); });
}

}  // namespace atl
