// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_world.h"

#include <algorithm>

namespace atl::sim {

SimWorld::SimWorld(uint64_t seed, const Swarm* swarm)
    : swarm_(swarm),
      env_(seed),
      medium_({.durable_at_ack = swarm->durable_at_ack, .seed = seed}),
      lives_(static_cast<size_t>(swarm->machines)),
      last_incarnations_(static_cast<size_t>(swarm->machines)) {
  env_.ShuffleReady();
}

std::vector<LifePtr> SimWorld::Living() const {
  std::vector<LifePtr> living;
  for (const LifePtr& life : lives_) {
    if (life) living.push_back(life);
  }
  return living;
}

LifePtr SimWorld::Start(int machine, bool buries) {
  const auto at = static_cast<size_t>(machine);
  auto life = std::make_shared<Life>();
  life->machine = machine;
  NodeOptions options;
  options.name = "m" + std::to_string(machine) + "." + std::to_string(++started_);
  options.max_delay_ns = swarm_->delay_ns;
  options.lease_term_ns = swarm_->lease_term_ns;
  options.composers.flushes_before_log = swarm_->flushes_before_log;
  options.wrap = [&](std::unique_ptr<Store> below) -> std::unique_ptr<Store> {
    auto filter =
        std::make_unique<FaultFilter>(&env_, std::move(below), swarm_, &errors_,
                                      [this](const StoreCall& call) { return Refuse(call); });
    life->faults = filter.get();
    if (swarm_->sums_quiet_ns == 0) return filter;
    auto sums = WithSums(std::move(filter));
    life->sums = sums.get();
    return sums;
  };
  life->node = std::make_unique<MemoryNode>(&env_, &medium_, options);
  lives_[at] = life;
  const Uuid before = std::exchange(last_incarnations_[at], life->node->incarnation());
  if (before.is_zero() || !buries) return life;
  // As a node does before it serves. If its store refuses, others have to be told otherwise.
  const auto buried = Run(life->atoll().BuryPredecessor(before));
  const auto ghost = ghosts_.find(before);
  const bool landed = ghost != ghosts_.end() && ghost->second < now_ns();
  if (landed && buried && buried->ok()) {
    ghosts_.erase(ghost);
    laid_ns_ = now_ns();
  }
  return life;
}

// Who hears that these have failed no longer believes what is not durable.
bool SimWorld::Refuse(const StoreCall& call) {
  const bool syncs = call.op == StoreOp::kSync || call.op == StoreOp::kSyncLog;
  if (!syncs && call.op != StoreOp::kWrite && call.op != StoreOp::kAppend) return false;
  ++spoils_;
  const bool loses = syncs && swarm_->loses_unsynced && env_.Random() % 2 == 0;
  if (const auto* blob = std::get_if<BlobId>(&call.target)) {
    spoiled_.insert(blob->owner);
    if (loses) medium_.LoseUnsynced(*blob, env_.Random());
  } else if (const auto* log = std::get_if<LogId>(&call.target)) {
    spoiled_.insert(log->owner);
    if (loses) medium_.LoseUnsynced(*log, env_.Random());
  }
  return loses;
}

Task<void> SimWorld::Bury(LifePtr life) {
  co_await life->tasks.Join();
  life->devices.clear();
  (void)co_await ShutDown(life);
  life->gone = true;
}

Task<Status> SimWorld::ShutDown(LifePtr life) {
  const Status status = co_await life->atoll().Shutdown();
  if (life->sums != nullptr) co_await life->sums->Close();
  co_return status;
}

std::unique_ptr<ChecksumStore> SimWorld::WithSums(std::unique_ptr<Store> below) {
  return std::make_unique<ChecksumStore>(
      env_, std::move(below),
      ChecksumOptions{.generation = 1, .quiet_ns = swarm_->sums_quiet_ns, .max_cached_pages = 8});
}

void SimWorld::Retire(const LifePtr& life, int64_t lands_at_ns) {
  life->dead = true;
  ghosts_[life->node->incarnation()] = lands_at_ns;
  for (LifePtr& at : lives_) {
    if (at == life) at = nullptr;
  }
  graves_.push_back(life);
  Spawn(Bury(life));
}

void SimWorld::Kill(const LifePtr& life, int64_t late_ns) {
  late_until_ns_ = std::max(late_until_ns_, now_ns() + late_ns + swarm_->delay_ns);
  life->node->store().Die(late_ns);
  // And the time that an operation of the store takes.
  Retire(life, now_ns() + late_ns + swarm_->delay_ns);
}

void SimWorld::LosePower(uint64_t seed) {
  medium_.PowerLoss(seed);
  for (const LifePtr& life : Living()) Retire(life, 0);
}

Status SimWorld::Stop(int machine) {
  const LifePtr life = std::exchange(lives_[static_cast<size_t>(machine)], nullptr);
  const auto stopped = Run(ShutDown(life));
  life->dead = true;
  life->gone = stopped.has_value();
  graves_.push_back(life);
  if (!stopped) return {Code::kTimeout, "a node does not stop"};
  if (errors_) ghosts_[life->node->incarnation()] = 0;  // Its lease may not have been ended.
  return *stopped;
}

bool SimWorld::Drive(const std::function<bool()>& done) {
  const int64_t deadline_ns = now_ns() + 3600 * kSecond;
  while (!done()) {
    if (!env_.Step() || now_ns() > deadline_ns) return false;
  }
  return true;
}

void SimWorld::DriveSome(uint64_t steps, const std::function<bool()>& done) {
  for (; steps > 0 && !done() && env_.Step(); --steps) {
  }
}

Status SimWorld::BuryAll(const LifePtr& life) {
  for (auto ghost = ghosts_.begin(); ghost != ghosts_.end();) {
    if (ghost->second >= now_ns()) {
      ++ghost;
      continue;
    }
    const auto buried = Run(life->atoll().BuryPredecessor(ghost->first));
    if (!buried) return {Code::kTimeout, "a lease is not ended"};
    RETURN_IF_ERROR(*buried);
    ghost = ghosts_.erase(ghost);
    laid_ns_ = now_ns();
  }
  return {};
}

size_t SimWorld::ClearGraves() {
  std::erase_if(graves_, [](const LifePtr& life) { return life->gone && life.use_count() == 1; });
  return graves_.size();
}

std::unique_ptr<Store> SimWorld::OpenStore() {
  MemoryStoreOptions options;
  options.name = "default";
  options.world = &medium_;
  auto store = std::make_unique<MemoryStore>(env_, options);
  if (swarm_->sums_quiet_ns == 0) return store;
  return WithSums(std::move(store));
}

}  // namespace atl::sim
