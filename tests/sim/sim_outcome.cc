// SPDX-License-Identifier: Apache-2.0
//
// What may fail, and what must succeed.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/simulation.h"

namespace atl::sim {
namespace {

constexpr int kAttempts = 6;

// What a store that fails, a volume that was lost, and one that is read-only say. Nothing of what
// is done to a node damages anything, nor makes it absent.
bool MayBeHeard(Code code) {
  return code == Code::kIo || code == Code::kNoSpace || code == Code::kUnavailable ||
         code == Code::kFenced || code == Code::kReadOnly || code == Code::kBusy;
}

}  // namespace

bool Simulation::IsQuiet(const LifePtr& life, const Resource* of, int64_t began_ns) {
  // A renewal that failed before may show now.
  if (life->faults->last_fault_ns() + swarm_.lease_term_ns >= began_ns) return false;
  if (life->faults->stalls() || life->troubled_until_ns >= began_ns) return false;
  if (world_.late_until_ns() >= began_ns || world_.was_haunted(began_ns)) return false;
  return of == nullptr || !of->sick;
}

// By what has befallen others, or before.
bool Simulation::IsExplained(const LifePtr& life, const Resource* of, const Status& status,
                             int64_t began_ns) {
  const bool robbed = of != nullptr ? life->robbed.contains(of->uuid) : !life->robbed.empty();
  if (status.code() == Code::kFenced) return robbed;
  // A volume stays read-only until somebody acts, whoever opens it; why is in the message. What was
  // taken by force may be garbage by now.
  if (status.code() == Code::kReadOnly) {
    const auto says = [&](const char* text) {
      return status.message().find(text) != std::string_view::npos;
    };
    return says("injected") || (robbed && says("is not there"));
  }
  // Another node has a lock that it could not give back, and tries again.
  return status.code() == Code::kBusy &&
         !std::ranges::all_of(world_.Living(), [&](const LifePtr& life) {
           return IsQuiet(life, nullptr, began_ns);
         });
}

bool Simulation::Heard(const LifePtr& life, Resource* of, const Status& status, int64_t began_ns,
                       const std::string& what) {
  if (life->dead || failed()) return false;
  if (status.ok()) return true;
  Trace(fmt::format("{}: {}", what, status.ToString()));
  if (!MayBeHeard(status.code())) {
    Fail(fmt::format("{} says what it must never say: {}", what, status.ToString()));
  } else if (IsQuiet(life, of, began_ns) && !IsExplained(life, of, status, began_ns)) {
    Fail(fmt::format("{} fails though nothing is wrong: {}", what, status.ToString()));
  }
  if (of != nullptr) of->sick = true;
  return false;
}

void Simulation::Quiesce() {
  world_.set_errors(false);
  const auto calm_at = [this] {
    int64_t at_ns = world_.late_until_ns();
    for (const LifePtr& life : world_.Living()) {
      const int64_t fault_ns =
          life->faults->stalls() ? world_.now_ns() : life->faults->last_fault_ns();
      at_ns = std::max({at_ns, life->troubled_until_ns, fault_ns + swarm_.lease_term_ns});
    }
    return at_ns;
  };
  while (calm_at() >= world_.now_ns()) world_.Pass(calm_at() - world_.now_ns() + kMillisecond);
  if (!world_.has_ghosts()) return;
  const LifePtr life = AnyLife();
  const Status buried = world_.BuryAll(life);
  if (!buried.ok()) Fail("leases cannot be ended though nothing is wrong: " + buried.ToString());
}

void Simulation::Resolve(Change change) {
  Status status;
  for (int attempt = 0; attempt < kAttempts && !failed(); ++attempt) {
    Quiesce();
    const bool volume = change.of != nullptr && !change.of->snapshot;
    if (attempt > 0 && volume) Heal(change.of);
    if (failed()) return;
    if (change.alone && change.of != nullptr) Vacate(change.of, nullptr);
    const LifePtr life = change.of ? LifeFor(change.of) : AnyLife();
    if (failed()) return;
    const CallPtr call = Begin(life, change.what, change.make(&life->atoll()), change.landed);
    if (!world_.Drive([&] { return failed() || call->ended; })) {
      return Fail(change.what + ", made again, never ends");
    }
    status = call->status;
    Trace(fmt::format("{}, again: {}", change.what, status.ToString()));
    if (!status.ok() && !MayBeHeard(status.code())) break;
    if (!status.ok()) continue;
    if (change.apply) change.apply();
    return;
  }
  Fail(fmt::format("{} does not succeed though nothing is wrong any more: {}", change.what,
                   status.ToString()));
}

// As people do: an administrator's open ends what is read-only, once nobody has it open.
void Simulation::Heal(Resource* volume) {
  Status status;
  for (int attempt = 0; attempt < kAttempts && !failed(); ++attempt) {
    Quiesce();
    if (failed()) return;
    Vacate(volume, nullptr);
    if (volume->snapshot) {
      volume->sick = false;
      return;
    }
    const LifePtr life = LifeFor(volume);
    if (failed()) return;
    auto acquired = world_.Run(life->atoll().Acquire(volume->ref()));
    if (acquired && acquired->ok()) acquired = world_.Run(life->atoll().Release(volume->ref()));
    if (!acquired) return Fail("opening " + volume->name + " never ends");
    status = *acquired;
    Trace(fmt::format("{} is healed: {}", volume->name, status.ToString()));
    if (!status.ok()) continue;
    volume->sick = volume->read_only = false;
    if (!volume->unsettled) volume->unsettled = Oracle::Crash::kDeath;
    return;
  }
  Fail(fmt::format("{} cannot be opened though nothing is wrong any more: {}", volume->name,
                   status.ToString()));
}

}  // namespace atl::sim
