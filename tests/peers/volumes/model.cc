// SPDX-License-Identifier: Apache-2.0
//
// The steps of the model: what there is, and how it changes. model_io.cc has the requests,
// model_check.cc lives, deaths and what is checked.
#include "tests/peers/volumes/model.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace atl {
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

Task<void> Keep(Task<Status> task, Status* out) { *out = co_await task; }

uint64_t NumberOr(const char* variable, uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 0) : fallback;
}

}  // namespace

Model::Model(uint64_t seed, std::unique_ptr<World> world, ModelOptions options)
    : world_(std::move(world)), options_(options), random_(seed) {}

void Model::Run() {
  StartNode();
  for (int i = 0; i < options_.steps && !failed(); ++i) Step();
  if (!failed()) CheckAll();
  if (!failed()) CheckNothingIsLeft();
  devices_.clear();
  if (!failed()) Expect(world_->Stop(), "the end");
}

Uuid Model::NewUuid() {
  const uint64_t high = random_();
  return Uuid::FromRandom(high, random_());
}

void Model::Expect(const Status& status, const std::string& what) {
  if (!status.ok() && !dying_) ADD_FAILURE() << what << ": " << status.ToString();
}

Model::Resource* Model::Pick(bool snapshot) {
  std::vector<Resource*> found;
  for (auto& [uuid, resource] : resources_) {
    if (resource.snapshot == snapshot) found.push_back(&resource);
  }
  return found.empty() ? nullptr : found[Below(found.size())];
}

Model::Resource* Model::Add(const Uuid& uuid, std::string name) {
  Resource& resource = resources_[uuid];
  resource.uuid = uuid;
  resource.name = std::move(name);
  return &resource;
}

// --- Steps ---------------------------------------------------------------------------------------

void Model::Step() {
  switch (Below(options_.crashes ? 21 : 18)) {
    case 0 ... 6:
      return Make(PickChange());
    case 7:
      return Restart();
    case 8:
      return CloseSome();
    case 9 ... 10:
      return SnapshotUnderLoad();
    case 18:
      return DieInOperation();
    case 19 ... 20:
      return DieInInputOutput();
    default:
      return InputOutput();
  }
}

void Model::Make(Change change) {
  if (!change.make) return;
  Expect(world_->Run(change.make()), "an operation");
  if (!failed()) change.apply();
}

void Model::DieInOperation() {
  Change change = PickChange();
  if (!change.make) return;
  Status status;
  TaskGroup group;
  group.Run(Keep(change.make(), &status));
  world_->LetRun(random_(), group);
  Die(&group, false);
  if (failed()) return;
  Make(std::move(change));
  if (!failed()) CheckSome("after a death in an operation");
}

// --- What can be changed -------------------------------------------------------------------------

Model::Change Model::PickChange() {
  switch (Below(10)) {
    case 0 ... 1:
      return Create();
    case 2:
      return Snapshot();
    case 3 ... 4:
      return Clone();
    case 5:
      return Remove();
    case 6:
      return Resize();
    case 7:
      return Rollback();
    case 8:
      return Rename();
    default:
      return CollectGarbage();
  }
}

Model::Change Model::Create() {
  if (full()) return {};
  CreateSpec spec;
  spec.uuid = NewUuid();
  spec.name = "v" + std::to_string(++names_);
  spec.size = options_.size;
  return {[=, this] { return StatusOf(atoll().Create(spec)); },
          [=, this] { Add(spec.uuid, spec.name)->oracle.Resize(spec.size); }};
}

Model::Change Model::Snapshot() {
  Resource* volume = Pick(false);
  if (volume == nullptr || full()) return {};
  SnapshotSpec spec;
  spec.uuid = NewUuid();
  spec.volume = ResourceRef::Of(volume->uuid);
  spec.name = "s" + std::to_string(++names_);
  return {[=, this] { return StatusOf(atoll().Snapshot(spec)); },
          [=, this] {
            Resource* snapshot = Add(spec.uuid, spec.name);
            snapshot->snapshot = true;
            snapshot->parent = volume->uuid;
            volume->opened = true;
            // Everything before it was flushed by it.
            volume->oracle.Flush();
            snapshot->oracle = volume->oracle;
          }};
}

Model::Change Model::Clone() {
  Resource* snapshot = Pick(true);
  if (snapshot == nullptr || full()) return {};
  const uint64_t size = snapshot->oracle.size() + (Below(2) == 0 ? 0 : 128 * kKiB);
  CreateSpec spec;
  spec.uuid = NewUuid();
  spec.name = "c" + std::to_string(++names_);
  spec.from = ResourceRef::Of(snapshot->uuid);
  spec.size = size == snapshot->oracle.size() ? 0 : size;
  return {[=, this] { return StatusOf(atoll().Create(spec)); },
          [=, this] {
            Resource* clone = Add(spec.uuid, spec.name);
            clone->oracle = snapshot->oracle;
            clone->oracle.Resize(size);
          }};
}

Model::Change Model::Remove() {
  Resource* resource = Pick(Below(2) == 0);
  if (resource == nullptr || Below(2) == 0) return {};
  CloseDevice(resource);
  const Uuid uuid = resource->uuid;
  return {[=, this] { return GoneIsDone(atoll().Remove(ResourceRef::Of(uuid))); },
          [=, this] { resources_.erase(uuid); }};
}

Model::Change Model::Resize() {
  Resource* volume = Pick(false);
  if (volume == nullptr) return {};
  const uint64_t before = volume->oracle.size();
  const bool shrink = Below(2) == 0;
  const uint64_t size =
      shrink ? (1 + Below(before / kSector)) * kSector : before + kSector * (1 + Below(200));
  if (shrink) CloseDevice(volume);
  return {[=, this] { return StatusOf(atoll().Resize(ResourceRef::Of(volume->uuid), size, true)); },
          [=] {
            if (size < before) volume->oracle.Flush();
            volume->oracle.Resize(size);
          }};
}

Model::Change Model::Rollback() {
  Resource* snapshot = Pick(true);
  if (snapshot == nullptr || !resources_.contains(snapshot->parent)) return {};
  Resource* volume = &resources_[snapshot->parent];
  CloseDevice(volume);
  const ResourceRef ref = ResourceRef::Of(volume->uuid);
  const ResourceRef to = ResourceRef::Of(snapshot->uuid);
  return {[=, this] { return StatusOf(atoll().Rollback(ref, to)); },
          [=] { volume->oracle = snapshot->oracle; }};
}

Model::Change Model::Rename() {
  Resource* resource = Pick(Below(3) == 0);
  if (resource == nullptr) return {};
  const std::string name = "r" + std::to_string(++names_);
  return {[=, this] { return StatusOf(atoll().Rename(ResourceRef::Of(resource->uuid), name)); },
          [=] { resource->name = name; }};
}

Model::Change Model::CollectGarbage() {
  return {[this] { return StatusOf(atoll().CollectGarbage(false)); }, [] {}};
}

void RunSeeds(uint64_t first, uint64_t count, const ModelOptions& options, const MakeWorld& make) {
  count = NumberOr("ATOLL_SEEDS", count);
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = NumberOr("ATOLL_SEED", first);
    count = 1;
  }
  std::printf("%llu sequences of %d steps from ATOLL_SEED=%llu\n",
              static_cast<unsigned long long>(count), options.steps,
              static_cast<unsigned long long>(first));
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed));
    Model(seed, make(seed), options).Run();
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace atl
