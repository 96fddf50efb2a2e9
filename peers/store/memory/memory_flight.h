// SPDX-License-Identifier: Apache-2.0
//
// One operation of a MemoryStore from its submission to its end. Private to the memory driver.
#pragma once

#include <memory>

#include "peers/store/limits.h"
#include "peers/store/memory/memory_store.h"

namespace atl {

class MemoryStore::Flight {
 public:
  // `medium` is what the operation will change; null if it only reads.
  explicit Flight(MemoryStore* store, std::shared_ptr<World::Medium> medium = nullptr)
      : store_(store), medium_(std::move(medium)) {
    ++store_->running_;
    if (medium_) ++medium_->in_flight;
  }
  ~Flight() {
    --store_->running_;
    // A power loss has counted anew.
    if (medium_ && !store_->power_lost_) --medium_->in_flight;
    store_->ended_.NotifyAll();
  }
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  // Whether a change may still happen, at the moment when it lands.
  Status MayLand() const {
    if (store_->power_lost_) return store_->Alive();
    if (medium_ && medium_->removed) return {Code::kNotFound, store_->info_.name + ": removed"};
    if (medium_ && medium_->sealed) return {Code::kFenced, store_->info_.name + ": sealed"};
    return {};
  }
  // What the caller is told: the dead tell nothing.
  Status Tell(Status outcome) const { return store_->dead_ ? store_->Alive() : outcome; }

 private:
  MemoryStore* store_;
  std::shared_ptr<World::Medium> medium_;
};

// The thing, for reading it.
template <typename Things, typename Id>
auto MemoryStore::Find(Things& things, const Id& id) -> Result<typename Things::mapped_type> {
  RETURN_IF_ERROR(Alive());
  const auto at = things.find(id);
  if (at == things.end()) return Missing(id);
  return at->second;
}

// The thing, for changing it: adopted by this instance.
template <typename Things, typename Id>
auto MemoryStore::Mine(Things& things, const Id& id) -> Result<typename Things::mapped_type> {
  RETURN_IF_ERROR(Alive());
  const auto at = things.find(id);
  if (at == things.end() || at->second->owner != instance_) {
    return Status(Code::kFenced, Named(id) + " is not adopted by this instance");
  }
  if (at->second->sealed) return Status(Code::kFenced, Named(id) + " is sealed");
  return at->second;
}

template <typename Things, typename Id>
Task<Result<Page<Id>>> MemoryStore::ListIn(const Things& things, std::optional<Id> after,
                                           uint32_t limit) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(Alive());
  CO_RETURN_IF_ERROR(CheckPage(limit));
  Page<Id> page;
  auto at = after ? things.upper_bound(*after) : things.begin();
  for (; at != things.end() && page.items.size() < std::min(limit, kMaxPage); ++at) {
    page.items.push_back(at->first);
  }
  page.last = at == things.end();
  co_return page;
}

}  // namespace atl
