// SPDX-License-Identifier: Apache-2.0
//
// The steps of a sequence. What they consist of is in the files beside this one.
#include "tests/sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace atl::sim {

Simulation::Simulation(uint64_t seed, bool traces)
    : seed_(seed),
      traces_(traces),
      random_(seed),
      swarm_(Swarm::Draw(&random_)),
      world_(seed, &swarm_) {}

Simulation::~Simulation() = default;

void Simulation::Fail(std::string what) {
  if (failed()) return;
  failure_ = fmt::format("{} (at {:.3f} s)", what, static_cast<double>(world_.now_ns()) / 1e9);
  Trace("failed: " + failure_);
}

void Simulation::Complain(const std::string& wrong) {
  if (!wrong.empty()) Fail(wrong);
}

void Simulation::Trace(const std::string& line) const {
  if (!traces_) return;
  auto& env = const_cast<SimWorld&>(world_).env();
  std::printf("%12.6f  %s\n", static_cast<double>(env.BootNs()) / 1e9, line.c_str());
  std::fflush(stdout);
}

Uuid Simulation::NewUuid() {
  const uint64_t high = random_();
  return Uuid::FromRandom(high, random_());
}

bool Simulation::Run() {
  world_.Start(0, true);
  for (int i = 0; i < swarm_.steps && !failed(); ++i) DoStep();
  world_.set_errors(false);
  if (!failed()) CheckAll();
  if (!failed()) RemoveAll();
  if (!failed()) CheckNothingIsLeft();
  return !failed();
}

Step Simulation::PickStep() {
  uint32_t all = 0;
  for (const uint32_t weight : swarm_.weights) all += weight;
  uint64_t at = Below(all);
  for (size_t i = 0; i < kStepCount; ++i) {
    if (at < swarm_.weights[i]) return static_cast<Step>(i);
    at -= swarm_.weights[i];
  }
  return Step::kIo;
}

void Simulation::DoStep() {
  const Step step = PickStep();
  world_.set_errors(false);
  const std::vector<LifePtr> living = world_.Living();
  if (swarm_.buries && world_.has_ghosts() && !living.empty()) (void)world_.BuryAll(living[0]);
  world_.set_errors(swarm_.errors_of > 0 && OneIn(swarm_.errors_of));
  Trace(fmt::format("step {}{}", NameOf(step), world_.errors() ? ", with errors" : ""));
  switch (step) {
    case Step::kRestart:
      DoRestart(static_cast<int>(Below(static_cast<uint64_t>(world_.machines()))));
      break;
    case Step::kClose:
      DoClose();
      break;
    case Step::kWait:
      DoWait();
      break;
    default:
      DoScene(step);
  }
  if (!failed() && OneIn(3)) LookAtThePast();
  world_.ClearGraves();
}

// --- A scene: requests, operations and whatever befalls them, at once ----------------------------

bool Simulation::Scene::done() const {
  const auto ended = [](const CallPtr& call) { return call->ended || call->life->dead; };
  return (!batch || batch->running == 0 || batch->life->dead) &&
         std::ranges::all_of(running, [&](const Running& r) { return ended(r.call); }) &&
         std::ranges::all_of(others, ended);
}

void Simulation::DoScene(Step step) {
  Scene scene;
  if (step == Step::kIo) {
    Resource* resource = OneIn(6) ? Any() : Pick(false);
    if (resource == nullptr || !Settle(resource)) return;
    scene.life = LifeFor(resource);
    if (failed() || !scene.life) return;
    scene.batch = NewBatch(resource, scene.life);
    resource->busy = true;
    Launch(scene.batch, 8);
    if (OneIn(3)) AddChange(&scene, PickChange(PickStep()));
  } else {
    const bool collects = step == Step::kRelay && !OneIn(4);
    const bool first = OneIn(2);
    if (collects && first) AddChange(&scene, Collect());
    if (collects && first) world_.DriveSome(Below(60), [&scene] { return scene.done(); });
    AddChange(&scene, PickChange(step));
    if (collects && !first) world_.DriveSome(Below(300), [&scene] { return scene.done(); });
    if (collects && !first) AddChange(&scene, Collect());
  }
  if (failed()) return;
  if (!scene.batch && scene.running.empty()) return;
  if (!scene.running.empty() && OneIn(3)) AddChange(&scene, PickChange(PickStep()));
  if (swarm_.disturbed_of > 0 && OneIn(swarm_.disturbed_of)) {
    Disturb(&scene);
  } else if (scene.batch && OneIn(2)) {
    // Some come in at each step of what else goes on.
    for (int i = 0; i < 12 && !failed() && !scene.batch->life->dead; ++i) {
      world_.DriveSome(Below(30), [&scene] { return scene.done(); });
      LaunchOne(scene.batch);
    }
  }
  if (!failed() && !world_.Drive([&] { return failed() || scene.done(); })) {
    Fail("a request or an operation never ends");
  }
  for (auto& [uuid, resource] : resources_) resource->busy = false;
  if (!failed()) Finish(&scene);
}

// Begins it on a node that may, unless something in the scene is in its way.
void Simulation::AddChange(Scene* scene, Change change) {
  if (!change) return;
  const auto clashes = [&](const Resource* of, bool alone) {
    return of != nullptr && of == change.of && (alone || change.alone);
  };
  if (scene->batch && clashes(scene->batch->resource, false)) return;
  if (scene->batch && change.from == scene->batch->resource) return;
  for (const Running& other : scene->running) {
    if (clashes(other.change.of, other.change.alone) || other.change.what == change.what) return;
    if (other.change.of == change.of && other.change.names && change.names) return;
    const Resource* from = change.from;
    const Resource* theirs = other.change.from;
    if (theirs != nullptr && (theirs == change.of || theirs == from)) return;
    if (from != nullptr && from == other.change.of) return;
  }
  const bool same = scene->batch && change.of == scene->batch->resource;
  const LifePtr life = same ? scene->batch->life : change.of ? LifeFor(change.of) : AnyLife();
  if (failed() || !life || life->dead) return;
  if (change.begin) change.begin();
  if (failed()) return;
  Running running{.change = std::move(change)};
  for (Resource* resource : {running.change.of, running.change.from}) {
    if (resource != nullptr) resource->busy = true;
  }
  running.call =
      Begin(life, running.change.what, running.change.make(&life->atoll()), running.change.landed);
  scene->running.push_back(std::move(running));
  if (!scene->life) scene->life = life;
}

// A batch first: changes are applied to what it has left.
void Simulation::Finish(Scene* scene) {
  if (scene->batch) FinishBatch(scene->batch);
  std::vector<Change> again;
  for (Running& running : scene->running) {
    if (failed()) return;
    const Call& call = *running.call;
    Resource* of = running.change.of;
    const bool heard = call.ended && !call.life->dead &&
                       Heard(call.life, of, call.status, call.began_ns, call.what);
    if (failed()) return;
    if (!heard) {
      again.push_back(std::move(running.change));
    } else if (running.change.apply) {
      running.change.apply();
    }
  }
  for (Change& change : again) {
    if (!failed()) Resolve(std::move(change));
  }
  if (scene->batch) scene->batch->resource->around.clear();
}

// --- Other steps ---------------------------------------------------------------------------------

void Simulation::DoRestart(int machine) {
  const LifePtr life = world_.life(machine);
  if (!life) return;
  const int64_t began_ns = world_.now_ns();
  bool quiet = true;
  for (auto& [uuid, resource] : resources_) {
    CloseDevice(life, resource.get());
    if (resource->home != machine) continue;
    quiet &= IsQuiet(life, resource.get(), began_ns);
    for (const LifePtr& other : world_.Living()) other->past.erase(uuid);
  }
  const Status stopped = world_.Stop(machine);
  quiet &= IsQuiet(life, nullptr, began_ns);
  Trace(fmt::format("machine {} has stopped: {}", machine, stopped.ToString()));
  if (stopped.code() == Code::kTimeout) return Fail("a node does not stop");
  if (!stopped.ok() && quiet && !IsExplained(life, nullptr, stopped, began_ns))
    return Fail("a node stops with " + stopped.ToString());
  for (auto& [uuid, resource] : resources_) {
    if (resource->home != machine || resource->snapshot) continue;
    if (stopped.ok() && !resource->sick && !resource->unsettled) resource->oracle.Flush();
    if (!stopped.ok()) resource->sick = true;
  }
  world_.Start(machine, swarm_.buries);
}

void Simulation::DoClose() {
  const LifePtr life = AnyLife();
  Resource* resource = Any();
  if (life && resource) CloseDevice(life, resource);
}

void Simulation::DoWait() {
  const int64_t most = OneIn(3) ? 2 * swarm_.lease_term_ns : 3 * kSecond;
  world_.Pass(static_cast<int64_t>(Below(static_cast<uint64_t>(most))));
}

}  // namespace atl::sim
