// SPDX-License-Identifier: Apache-2.0
//
// What is looked at: after what has befallen a volume, and at the end.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "peers/mapper/header_store.h"
#include "tests/sim/check_store.h"
#include "tests/sim/simulation.h"

namespace atl::sim {

Task<Status> Simulation::ReadDevice(Device* device, std::shared_ptr<Whole> out) {
  CO_RETURN_IF_ERROR(co_await device->Refresh());
  out->size = device->info().size;
  out->bytes.assign(out->size, std::byte{0xEE});
  co_return co_await device->Read(0, out->bytes);
}

Task<Status> Simulation::ReadWhole(LocalAtoll* atoll, ResourceRef ref, std::shared_ptr<Whole> out) {
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll->Open(ref, OpenMode::kReadOnly));
  const Status status = co_await ReadDevice(device.get(), out);
  co_await device->Close();
  co_return status;
}

// Errors of the store may be in its way, or the volume may be read-only; then it is healed, so that
// all that is read is durable.
bool Simulation::Settle(Resource* resource) {
  if (resource->busy) return !resource->unsettled;
  for (int attempt = 0; attempt < 2 && !failed() && resource->unsettled; ++attempt) {
    if (resource->sick || attempt > 0) Heal(resource);
    if (failed()) return false;
    const LifePtr life = LifeFor(resource);
    if (failed()) return false;
    const auto whole = std::make_shared<Whole>();
    const CallPtr call =
        Begin(life, "look at " + resource->name, ReadWhole(&life->atoll(), resource->ref(), whole));
    if (!world_.Drive([&] { return failed() || call->ended; })) {
      Fail(call->what + " never ends");
      return false;
    }
    const bool heard = Heard(life, resource, call->status, call->began_ns, call->what);
    const bool durable = attempt > 0 || IsQuiet(life, resource, call->began_ns);
    if (heard && (resource->snapshot || durable)) {
      SettleAs(resource, *whole);
    }
  }
  if (!failed() && resource->unsettled) Fail(resource->name + " cannot be read");
  return !failed();
}

void Simulation::SettleAs(Resource* resource, const Whole& whole) {
  if (whole.size != resource->oracle.size()) {
    return Fail(fmt::format("{} has {} bytes and should have {}", resource->name, whole.size,
                            resource->oracle.size()));
  }
  if (!resource->snapshot && world_.is_spoiled(resource->uuid)) {
    resource->unsettled = Oracle::Crash::kPowerLoss;
    // Once it was opened as after a loss of power there is nothing more to lose.
    if (!KnowsOfFailedSync(*resource)) world_.Forgive(resource->uuid);
  }
  const bool death = resource->unsettled == Oracle::Crash::kDeath;
  const std::string what = resource->name + (resource->snapshot ? ""
                                             : death            ? " after a death"
                                                                : " after a power loss");
  Complain(resource->oracle.Settle(whole.bytes, *resource->unsettled, what));
  if (resource->snapshot && !failed()) CheckAround(*resource, whole.bytes);
  resource->around.clear();
  resource->unsettled.reset();
}

bool Simulation::KnowsOfFailedSync(const Resource& volume) {
  const auto store = world_.OpenStore();
  const auto look = [](Store* store, Uuid uuid) -> Task<bool> {
    const auto header = co_await ReadHeader(store, uuid, ReadFor::kLook);
    co_await store->Close();
    co_return !header.ok() || header->header.sync_failed;
  };
  const auto known = world_.Run(look(store.get(), volume.uuid));
  return !known || *known || std::ranges::any_of(world_.Living(), [&](const LifePtr& life) {
    const auto entry = life->atoll().open_table().Find(volume.uuid);
    const bool failed = entry && entry->composer && entry->composer->sync_failed();
    return failed || life->atoll().open_table().has_unrecorded_failure(volume.uuid);
  });
}

// A snapshot is of one point in time, so each write is in it or it is not.
void Simulation::CheckAround(const Resource& snapshot, ConstSpan bytes) {
  for (const Request& request : snapshot.around) {
    if (request.kind == Oracle::Kind::kZero) continue;
    bool in = false, out = false;
    for (uint64_t at = request.range.offset; at < request.range.end(); at += kSector) {
      Oracle::Mark mark = 0;
      Complain(Oracle::MarkOf(bytes.subspan(at, kSector), snapshot.name, at, &mark));
      if (mark == 0) continue;  // It may have been zeroed since.
      (mark >= request.mark ? in : out) = true;
    }
    if (in && out) {
      return Fail(fmt::format("{} has a part of the write {} at {}", snapshot.name, request.mark,
                              request.range.offset));
    }
  }
}

// --- At the end ----------------------------------------------------------------------------------

void Simulation::CheckStructure(const std::string& when) {
  StoreSet stores;
  auto own = world_.OpenStore();
  Store* store = own.get();
  stores.Add(std::move(own));
  const auto wrong = world_.Run(CheckStore(&stores));
  if (!wrong) return Fail("a check of the store never ends");
  if (!wrong->empty()) Fail("check of the store " + when + ": " + wrong->front());
  const auto close = [](Store* closing) -> Task<Status> {
    co_await closing->Close();
    co_return OkStatus();
  };
  (void)world_.Run(close(store));
}

void Simulation::CheckNames() {
  std::set<std::string> known, listed;
  for (const auto& [uuid, resource] : resources_) known.insert(resource->name);
  const LifePtr life = AnyLife();
  const auto page = world_.Run(life->atoll().List({}));
  if (!page) return Fail("a listing never ends");
  if (!page->ok()) return Fail("a listing says " + page->status().ToString());
  for (const ResourceInfo& item : (*page)->items) listed.insert(item.name);
  if (listed == known) return;
  std::vector<std::string> odd;
  std::ranges::set_symmetric_difference(listed, known, std::back_inserter(odd));
  Fail(fmt::format("{} is {}", odd[0],
                   listed.contains(odd[0]) ? "listed and should be gone" : "not listed"));
}

void Simulation::CheckAll() {
  Trace("the end");
  for (int machine = 0; machine < world_.machines(); ++machine) {
    if (!world_.life(machine)) world_.Start(machine, true);
  }
  Quiesce();
  for (auto& [uuid, resource] : resources_) {
    if (failed()) return;
    if (resource->sick) Heal(resource.get());
    if (!resource->unsettled) resource->unsettled = Oracle::Crash::kDeath;
    if (!Settle(resource.get())) return;
  }
  if (!failed()) CheckNames();
  if (!failed()) CheckStructure("at the end");
}

void Simulation::RemoveAll() {
  for (auto& [uuid, resource] : resources_) {
    Vacate(resource.get(), nullptr);
    if (failed()) return;
    const auto removed = world_.Run(AnyLife()->atoll().Remove(resource->ref()));
    if (!removed) return Fail("a removal never ends");
    if (!removed->ok()) {
      return Fail(fmt::format("removing {} says {}", resource->name, removed->ToString()));
    }
  }
  resources_.clear();
  const auto collected = world_.Run(AnyLife()->atoll().CollectGarbage(false));
  if (!collected) return Fail("a collection never ends");
  if (!collected->ok()) Fail("a collection says " + collected->status().ToString());
}

void Simulation::CheckNothingIsLeft() {
  for (int machine = 0; machine < world_.machines(); ++machine) {
    if (!world_.life(machine)) continue;
    const Status stopped = world_.Stop(machine);
    if (!stopped.ok()) return Fail("the last stop says " + stopped.ToString());
  }
  if (!world_.Drive([this] { return world_.ClearGraves() == 0; })) {
    return Fail("a node that is dead never comes to its end");
  }
  StoreSet stores;
  stores.Add(world_.OpenStore());
  const auto left = world_.Run(ListStore(&stores.at(0)));
  if (!left) return Fail("a listing of the store never ends");
  if (!left->empty()) Fail("everything was removed, and this is left: " + left->front());
}

}  // namespace atl::sim
