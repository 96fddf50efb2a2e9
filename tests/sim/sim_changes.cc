// SPDX-License-Identifier: Apache-2.0
//
// What can be changed: resources are made, copied, renamed, resized and removed.
#include <algorithm>
#include <iterator>
#include <utility>

#include "tests/sim/simulation.h"

namespace atl::sim {
namespace {

template <typename T>
Task<Status> StatusOf(Task<Result<T>> task) {
  const auto result = co_await task;
  co_return result.ok() ? Status() : result.status();
}

// Removed already, by a call whose answer was lost.
Task<Status> GoneIsDone(Task<Status> task) {
  Status status = co_await task;
  co_return status.code() == Code::kNotFound ? Status() : status;
}

Task<Status> CheckpointOf(LocalAtoll* atoll, Uuid uuid) {
  auto use = co_await atoll->open_table().Get(0, uuid);
  if (!use.ok()) co_return use.status();
  const PinChange checkpoint;
  co_return co_await use->composer().Pin(checkpoint);
}

// A volume that goes before, if its uuid is not zero, leaves nothing but the snapshot to name what
// the clone reads.
Task<Status> CloneAndForget(LocalAtoll* atoll, CreateSpec spec, ResourceRef snapshot,
                            ResourceRef volume) {
  if (!volume.uuid.is_zero()) CO_RETURN_IF_ERROR(co_await GoneIsDone(atoll->Remove(volume)));
  CO_RETURN_IF_ERROR(co_await StatusOf(atoll->Create(spec)));
  co_return co_await GoneIsDone(atoll->Remove(snapshot));
}

}  // namespace

Task<void> Simulation::Follow(CallPtr call, Task<Status> task, std::function<void()> landed) {
  call->status = co_await task;
  if (call->status.ok() && !call->life->dead && landed) landed();
  call->ended = true;
}

Simulation::CallPtr Simulation::Begin(const LifePtr& life, std::string what, Task<Status> task,
                                      std::function<void()> landed) {
  auto call = std::make_shared<Call>();
  call->life = life;
  call->what = std::move(what);
  call->began_ns = world_.now_ns();
  Trace(call->what + " on machine " + std::to_string(life->machine));
  life->tasks.Run(Follow(call, std::move(task), std::move(landed)));
  return call;
}

Simulation::Resource* Simulation::Pick(bool snapshot) {
  std::vector<Resource*> found;
  for (auto& [uuid, resource] : resources_) {
    if (resource->snapshot == snapshot) found.push_back(resource.get());
  }
  return found.empty() ? nullptr : found[Below(found.size())];
}

Simulation::Resource* Simulation::Any() {
  if (resources_.empty()) return nullptr;
  auto at = resources_.begin();
  std::advance(at, Below(resources_.size()));
  return at->second.get();
}

Simulation::Resource* Simulation::Add(const Uuid& uuid, std::string name) {
  auto& resource = resources_[uuid];
  resource = std::make_unique<Resource>();
  resource->uuid = uuid;
  resource->name = std::move(name);
  return resource.get();
}

void Simulation::Forget(const Uuid& uuid) {
  for (const LifePtr& life : world_.Living()) life->past.erase(uuid);
  resources_.erase(uuid);
}

Simulation::Change Simulation::PickChange(Step step) {
  switch (step) {
    case Step::kCreate:
      return Create();
    case Step::kSnapshot:
      return Snapshot(Pick(false));
    case Step::kClone:
      return Clone();
    case Step::kRemove:
      return Remove();
    case Step::kResize:
      return Resize();
    case Step::kRollback:
      return Rollback();
    case Step::kRename:
      return Rename();
    case Step::kCollect:
      return Collect();
    case Step::kCheckpoint:
      return Checkpoint();
    case Step::kRelay:
      return Relay();
    default:
      return {};
  }
}

Simulation::Change Simulation::Create() {
  if (full()) return {};
  CreateSpec spec;
  spec.uuid = NewUuid();
  spec.name = NewName("v");
  spec.size = swarm_.size;
  Change change;
  change.what = "create " + spec.name;
  change.make = [spec](LocalAtoll* atoll) { return StatusOf(atoll->Create(spec)); };
  change.apply = [=, this] { Add(spec.uuid, spec.name)->oracle.Resize(spec.size); };
  return change;
}

Simulation::Change Simulation::Snapshot(Resource* volume) {
  if (volume == nullptr || full()) return {};
  SnapshotSpec spec;
  spec.uuid = NewUuid();
  spec.volume = volume->ref();
  spec.name = NewName("s");
  struct Taking {
    Oracle oracle;
    std::vector<Oracle::Mark> floor;
    uint64_t losses = 0;
    uint64_t spoils = 0;
    bool doubtful = false;  // What was acknowledged may be lost already.
  };
  const auto taking = std::make_shared<Taking>();
  Change change;
  change.what = "snapshot " + volume->name + " as " + spec.name;
  change.of = volume;
  change.make = [spec](LocalAtoll* atoll) { return StatusOf(atoll->Snapshot(spec)); };
  change.begin = [=, this] {
    taking->oracle = volume->oracle;
    taking->floor = volume->oracle.Acknowledged();
    taking->losses = losses_;
    taking->spoils = world_.spoils();
    taking->doubtful =
        volume->unsettled == Oracle::Crash::kPowerLoss || world_.is_spoiled(volume->uuid);
    volume->images.push_back(&taking->oracle);
  };
  change.landed = [=] { std::erase(volume->images, &taking->oracle); };
  change.apply = [=, this] {
    // Everything acknowledged before it was flushed by it; unless power has failed meanwhile, or a
    // sync.
    const bool none_lost = taking->losses == losses_ && taking->spoils == world_.spoils();
    if (none_lost && !taking->doubtful) {
      taking->oracle.MakeDurable(taking->floor);
      if (!volume->unsettled) volume->oracle.MakeDurable(taking->floor);
    }
    Resource* snapshot = Add(spec.uuid, spec.name);
    snapshot->snapshot = true;
    snapshot->parent = volume->uuid;
    snapshot->oracle = taking->oracle;
    snapshot->unsettled = Oracle::Crash::kPowerLoss;
    if (none_lost) snapshot->around = volume->around;
  };
  return change;
}

Simulation::Change Simulation::Clone() {
  Resource* snapshot = Pick(true);
  if (snapshot == nullptr || full() || !Settle(snapshot)) return {};
  const uint64_t size = snapshot->oracle.size() + (OneIn(2) ? 0 : 128 * kKiB);
  CreateSpec spec;
  spec.uuid = NewUuid();
  spec.name = NewName("c");
  spec.from = snapshot->ref();
  spec.size = size == snapshot->oracle.size() ? 0 : size;
  Change change;
  change.what = "clone " + snapshot->name + " as " + spec.name;
  change.of = snapshot;
  change.make = [spec](LocalAtoll* atoll) { return StatusOf(atoll->Create(spec)); };
  change.apply = [=, this] {
    Resource* clone = Add(spec.uuid, spec.name);
    clone->oracle = snapshot->oracle;
    clone->oracle.Resize(size);
  };
  return change;
}

Simulation::Change Simulation::Remove() {
  Resource* resource = Pick(OneIn(2));
  if (resource == nullptr) return {};
  const ResourceRef ref = resource->ref();
  Change change;
  change.what = "remove " + resource->name;
  change.of = resource;
  change.alone = true;
  change.begin = [=, this] { Vacate(resource, nullptr); };
  change.make = [ref](LocalAtoll* atoll) { return GoneIsDone(atoll->Remove(ref)); };
  change.apply = [=, this] { Forget(ref.uuid); };
  return change;
}

Simulation::Change Simulation::Resize() {
  Resource* volume = Pick(false);
  if (volume == nullptr) return {};
  const uint64_t before = volume->oracle.size();
  const bool shrinks = OneIn(2) || before > 2 * swarm_.size;
  const uint64_t size =
      shrinks ? (1 + Below(before / kSector)) * kSector : before + kSector * (1 + Below(200));
  // What was in doubt is cut off, not to come back when it grows again.
  if (shrinks && !Settle(volume)) return {};
  const ResourceRef ref = volume->ref();
  Change change;
  change.what = "resize " + volume->name + " to " + std::to_string(size);
  change.of = volume;
  change.alone = true;
  if (shrinks) change.begin = [=, this] { Vacate(volume, nullptr); };
  change.make = [=](LocalAtoll* atoll) { return StatusOf(atoll->Resize(ref, size, true)); };
  change.apply = [=] {
    if (size < before && !volume->unsettled && !volume->sick) volume->oracle.Flush();
    volume->oracle.Resize(size);
  };
  return change;
}

Simulation::Change Simulation::Rollback() {
  Resource* snapshot = Pick(true);
  if (snapshot == nullptr || !resources_.contains(snapshot->parent)) return {};
  Resource* volume = resources_[snapshot->parent].get();
  if (!Settle(snapshot)) return {};
  const ResourceRef ref = volume->ref();
  const ResourceRef to = snapshot->ref();
  Change change;
  change.what = "roll " + volume->name + " back to " + snapshot->name;
  change.of = volume;
  change.from = snapshot;
  change.alone = true;
  change.begin = [=, this] { Vacate(volume, nullptr); };
  change.make = [=](LocalAtoll* atoll) { return StatusOf(atoll->Rollback(ref, to)); };
  change.apply = [=, this] {
    volume->oracle = snapshot->oracle;
    volume->unsettled.reset();
    volume->around.clear();
    for (const LifePtr& life : world_.Living()) life->past.erase(ref.uuid);
  };
  return change;
}

Simulation::Change Simulation::Rename() {
  Resource* resource = Any();
  if (resource == nullptr) return {};
  const std::string name = NewName("r");
  const ResourceRef ref = resource->ref();
  Change change;
  change.what = "rename " + resource->name + " to " + name;
  change.of = resource;
  change.names = true;
  change.make = [=](LocalAtoll* atoll) { return StatusOf(atoll->Rename(ref, name)); };
  change.apply = [=] { resource->name = name; };
  return change;
}

Simulation::Change Simulation::Collect() {
  Change change;
  change.what = "collect garbage";
  change.make = [](LocalAtoll* atoll) { return StatusOf(atoll->CollectGarbage(false)); };
  return change;
}

Simulation::Change Simulation::Checkpoint() {
  Resource* volume = Pick(false);
  if (volume == nullptr) return {};
  const Uuid uuid = volume->uuid;
  Change change;
  change.what = "checkpoint " + volume->name;
  change.of = volume;
  change.make = [uuid](LocalAtoll* atoll) { return CheckpointOf(atoll, uuid); };
  return change;
}

Simulation::Change Simulation::Relay() {
  Change change = Clone();
  if (!change) return {};
  Resource* snapshot = change.of;
  const ResourceRef ref = snapshot->ref();
  const auto parent = resources_.find(snapshot->parent);
  Resource* volume = parent == resources_.end() ? nullptr : parent->second.get();
  if (volume != nullptr && (volume->busy || OneIn(3))) volume = nullptr;
  const ResourceRef before = volume ? volume->ref() : ResourceRef::Of(Uuid());
  CreateSpec spec;
  spec.uuid = NewUuid();
  spec.name = NewName("c");
  spec.from = ref;
  change.what = "pass " + snapshot->name + " on to " + spec.name;
  change.alone = true;
  change.from = volume;
  change.begin = [=, this] {
    Vacate(snapshot, nullptr);
    if (volume != nullptr) Vacate(volume, nullptr);
  };
  change.make = [=](LocalAtoll* atoll) { return CloneAndForget(atoll, spec, ref, before); };
  change.apply = [=, this] {
    Add(spec.uuid, spec.name)->oracle = snapshot->oracle;
    Forget(ref.uuid);
    if (!before.uuid.is_zero()) Forget(before.uuid);
  };
  return change;
}

}  // namespace atl::sim
