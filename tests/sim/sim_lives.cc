// SPDX-License-Identifier: Apache-2.0
//
// Nodes come, go and get into each other's way.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "tests/sim/simulation.h"

namespace atl::sim {

LifePtr Simulation::AnyLife() {
  const auto machine = static_cast<int>(Below(static_cast<uint64_t>(world_.machines())));
  if (LifePtr life = world_.life(machine)) return life;
  Trace(fmt::format("machine {} starts", machine));
  return world_.Start(machine, swarm_.buries);
}

LifePtr Simulation::LifeFor(Resource* resource) {
  if (resource->snapshot) return AnyLife();
  LifePtr home = resource->home >= 0 ? world_.life(resource->home) : nullptr;
  if (home && (resource->busy || !OneIn(6))) return home;
  LifePtr next = AnyLife();
  if (next == home) return home;
  if (home && !Vacate(resource, next)) return home;
  if (resource->home != next->machine) {
    Trace(fmt::format("{} moves to machine {}", resource->name, next->machine));
    CloseDevice(next, resource);
    for (const LifePtr& life : world_.Living()) life->past.erase(resource->uuid);
    resource->read_only = false;  // A reason that could not be recorded is known to a node only.
  }
  resource->home = next->machine;
  return next;
}

bool Simulation::Vacate(Resource* resource, const LifePtr& except) {
  bool vacated = true;
  for (const LifePtr& life : world_.Living()) {
    if (life == except) continue;
    CloseDevice(life, resource);
    if (failed()) return false;
    if (!life->atoll().open_table().is_open(resource->uuid)) continue;
    const int64_t began_ns = world_.now_ns();
    const auto released = world_.Run(life->atoll().Release(resource->ref()));
    if (!released) {
      Fail("closing " + resource->name + " never ends");
      return false;
    }
    (void)Heard(life, resource, *released, began_ns, "closing " + resource->name);
    vacated &= !life->atoll().open_table().is_open(resource->uuid);
  }
  return vacated && !failed();
}

// What becomes of volumes whose holder is no more.
void Simulation::Widow(int machine, Oracle::Crash crash) {
  for (auto& [uuid, resource] : resources_) {
    if (resource->snapshot || (machine >= 0 && resource->home != machine)) continue;
    resource->read_only = false;
    resource->around.clear();
    for (const LifePtr& life : world_.Living()) life->past.erase(uuid);
    if (resource->unsettled != Oracle::Crash::kPowerLoss) resource->unsettled = crash;
  }
}

void Simulation::Die(const LifePtr& life) {
  const auto late_ns = static_cast<int64_t>(Below(static_cast<uint64_t>(swarm_.late_ns)));
  Trace(fmt::format("machine {} dies, late by {} us", life->machine, late_ns / kMicrosecond));
  world_.Kill(life, late_ns);
  Widow(life->machine, Oracle::Crash::kDeath);
  if (OneIn(2)) world_.Start(life->machine, swarm_.buries);
}

void Simulation::LosePower() {
  Trace("power fails");
  ++losses_;
  world_.LosePower(random_());
  Widow(-1, Oracle::Crash::kPowerLoss);
}

void Simulation::Jump() {
  const int64_t by_ns = swarm_.lease_term_ns * (1 + static_cast<int64_t>(Below(2)));
  Trace("the clock jumps");
  world_.env().Advance(by_ns);
  for (const LifePtr& life : world_.Living()) {
    life->troubled_until_ns = world_.now_ns() + swarm_.lease_term_ns;
    for (auto& [uuid, past] : life->past) past.since_ns = world_.now_ns();
  }
}

void Simulation::Disturb(Scene* scene) {
  const Disturbance what = swarm_.disturbances[Below(swarm_.disturbances.size())];
  world_.DriveSome(Below(1 + Below(400)), [scene] { return scene->done(); });
  if (failed()) return;
  if (!scene->life) scene->life = AnyLife();
  switch (what) {
    case Disturbance::kDeath:
      return Die(scene->life);
    case Disturbance::kPower:
      return LosePower();
    case Disturbance::kJump:
      return Jump();
    case Disturbance::kForce:
      return Force(scene);
    case Disturbance::kIntrude:
      return Intrude(scene);
    case Disturbance::kDoubleStart:
      return StartTwice(scene);
    case Disturbance::kNone:
      break;
  }
}

// Another machine's node, or null where there is one machine only.
static LifePtr OtherThan(const LifePtr& life, SimWorld* world, bool buries) {
  if (world->machines() == 1) return nullptr;
  const int machine = (life->machine + 1) % world->machines();
  if (LifePtr other = world->life(machine)) return other;
  return world->Start(machine, buries);
}

// --- The lock is broken by force while its holder works ------------------------------------------

// It stays open, so that its old holder does not get it back meanwhile.
Task<Status> Simulation::Take(LifePtr life, ResourceRef ref, std::shared_ptr<Whole> out) {
  CO_RETURN_IF_ERROR(co_await life->atoll().BreakLock(ref, true));
  CO_ASSIGN_OR_RETURN(auto device, co_await life->atoll().Open(ref, OpenMode::kReadWrite));
  Device* const open = device.get();
  life->devices[ref.uuid] = std::move(device);
  co_return co_await ReadDevice(open, out);
}

void Simulation::Force(Scene* scene) {
  if (!scene->batch || scene->batch->resource->snapshot) return;
  Resource* volume = scene->batch->resource;
  const LifePtr before = scene->life;
  const LifePtr next = OtherThan(before, &world_, swarm_.buries);
  for (const Running& running : scene->running) {
    if (running.change.of == volume && running.change.alone) return;
  }
  if (!next || before->dead || before->devices[volume->uuid] == nullptr) return;
  CloseDevice(next, volume);
  if (failed()) return;
  volume->sick = true;  // From here on its holder may hear anything.
  // One that is just opening the volume takes the lock again; and one that is pinning may publish
  // its next epoch when the last one is sealed already, and holds that until it notices.
  const auto entry = before->atoll().open_table().Find(volume->uuid);
  bool served = entry && entry->state == OpenTable::Entry::State::kOpen;
  for (const Running& running : scene->running) served &= running.change.of != volume;
  const auto whole = std::make_shared<Whole>();
  const CallPtr call =
      Begin(next, "take " + volume->name + " by force", Take(next, volume->ref(), whole));
  const bool ended = world_.Drive([&] { return failed() || (scene->done() && call->ended); });
  if (!ended) return Fail(call->what + " never ends");
  if (failed()) return;
  // Whatever its holder was acknowledged is in what was read, also if it has heard of it later.
  FinishBatch(scene->batch);
  scene->batch = nullptr;
  before->troubled_until_ns = std::max(before->troubled_until_ns, world_.now_ns());
  before->robbed.insert(volume->uuid);
  volume->read_only = false;
  const Past past{volume->oracle, world_.now_ns()};
  // The lock is free for a moment, and who has lost it may be the first to want it.
  const bool outrun = !served || call->status.code() == Code::kBusy;
  if (outrun) next->troubled_until_ns = std::max(next->troubled_until_ns, world_.now_ns());
  if (Heard(next, nullptr, call->status, call->began_ns, call->what)) {
    volume->home = next->machine;
    volume->unsettled = Oracle::Crash::kDeath;
    if (IsQuiet(next, nullptr, call->began_ns)) {
      SettleAs(volume, *whole);
      volume->sick = false;
    }
    // One that did not have it open yet may open it once it is free again.
    if (served) before->past.insert_or_assign(volume->uuid, past);
  } else {
    CloseDevice(before, volume);
    if (!volume->unsettled) volume->unsettled = Oracle::Crash::kDeath;
  }
}

// Its old holder answers reads from the past until it looks at the lock, and does nothing else.
void Simulation::LookAtThePast() {
  for (const LifePtr& life : world_.Living()) {
    if (life->past.empty()) continue;
    const Uuid uuid = life->past.begin()->first;
    const auto resource = resources_.find(uuid);
    if (resource == resources_.end() || life->devices[uuid] == nullptr) {
      life->past.erase(uuid);
      continue;
    }
    LookAtThePast(life, resource->second.get(), &life->past.at(uuid));
    if (failed()) return;
  }
}

static Task<Status> GrowOf(LocalAtoll* atoll, Uuid uuid, uint64_t size) {
  const auto entry = atoll->open_table().Find(uuid);
  if (!entry || !entry->composer) co_return Status(Code::kUnavailable, "it is closed");
  co_return co_await entry->composer->map().Grow(size);
}

static Task<Status> PinOf(LocalAtoll* atoll, Uuid uuid) {
  const auto entry = atoll->open_table().Find(uuid);
  if (!entry || !entry->composer) co_return Status(Code::kUnavailable, "it is closed");
  const PinChange checkpoint;
  co_return co_await entry->composer->Pin(checkpoint);
}

void Simulation::LookAtThePast(const LifePtr& life, Resource* volume, Past* past) {
  const bool late = OneIn(3);
  if (late) world_.Pass(swarm_.lease_term_ns);
  Device* device = life->devices[volume->uuid].get();
  const ByteRange range = PickRange(past->oracle.size());
  Bytes bytes(range.length, std::byte{0xEE});
  const auto read = world_.Run(device->Read(range.offset, bytes));
  if (!read) return Fail("a read of a volume that was lost never ends");
  if (read->ok()) {
    Complain(past->oracle.CheckReadBehind(past->oracle.Newest(range), range, bytes,
                                          "a read from the past of " + volume->name));
    if (late && IsQuiet(life, nullptr, past->since_ns)) {
      Fail(volume->name + " is read from the past after a term of a lease");
    }
  }
  std::vector<std::pair<const char*, std::optional<Status>>> made;
  const Bytes data = Oracle::Fill(++marks_, range.length);
  const ByteRange grain{0, std::min(kSubGrain, past->oracle.size())};
  LocalAtoll* atoll = &life->atoll();
  switch (Below(4)) {
    case 0:
      made.emplace_back("a write", world_.Run(device->Write(range.offset, data, {})));
      break;
    case 1:
      made.emplace_back("growing",
                        world_.Run(GrowOf(atoll, volume->uuid, volume->oracle.size() + kSector)));
      break;
    case 2:
      made.emplace_back("a checkpoint", world_.Run(PinOf(atoll, volume->uuid)));
      break;
    default:
      // Of a whole sub-grain, and without a hole: else zeros of the past need not be made again.
      made.emplace_back("a zeroing", world_.Run(device->WriteZeroes(grain, {.no_hole = true})));
  }
  for (const auto& [what, status] : made) {
    Trace(fmt::format("{} of {} by who has lost it: {}", what, volume->name,
                      status ? status->ToString() : "never ends"));
    if (!status) return Fail(std::string(what) + " of a volume that was lost never ends");
    if (status->ok())
      return Fail(fmt::format("{} of {} by who has lost it succeeds", what, volume->name));
  }
  if (OneIn(2)) CloseDevice(life, volume);
}

// --- Another node wants it -----------------------------------------------------------------------

void Simulation::Intrude(Scene* scene) {
  if (!scene->batch || scene->batch->resource->snapshot || scene->batch->life->dead) return;
  Resource* volume = scene->batch->resource;
  const LifePtr holder = scene->batch->life;
  const LifePtr other = OtherThan(holder, &world_, swarm_.buries);
  const auto serves = [&] { return holder->atoll().open_table().serves(volume->uuid); };
  if (!other || failed()) return;
  CloseDevice(other, volume);
  const auto entry = holder->atoll().open_table().Find(volume->uuid);
  if (failed() || !serves() || entry->state != OpenTable::Entry::State::kOpen) return;
  const auto write = [](LocalAtoll* atoll, ResourceRef ref) -> Task<Status> {
    CO_ASSIGN_OR_RETURN(const auto device, co_await atoll->Open(ref, OpenMode::kReadWrite));
    const Bytes data = Oracle::Fill(~Oracle::Mark{0}, kSector);
    Status status = co_await device->Write(0, data, {});
    co_await device->Close();
    co_return status;
  };
  const CallPtr call =
      Begin(other, "intrude into " + volume->name, write(&other->atoll(), volume->ref()));
  if (!world_.Drive([&] { return failed() || call->ended; })) {
    return Fail(call->what + " never ends");
  }
  Trace(call->what + ": " + call->status.ToString());
  if (call->status.ok() && serves()) return Fail("two nodes write to " + volume->name);
  const bool was_sick = std::exchange(volume->sick, true);  // It must not be let in.
  if (!call->status.ok()) (void)Heard(other, volume, call->status, call->began_ns, call->what);
  volume->sick = was_sick;
}

// --- A node is started while it runs -------------------------------------------------------------

void Simulation::StartTwice(Scene* scene) {
  const LifePtr first = scene->life;
  if (first->dead || world_.life(first->machine) != first) return;
  first->troubled_until_ns = std::numeric_limits<int64_t>::max();
  Trace(fmt::format("machine {} starts once more", first->machine));
  const LifePtr second = world_.Start(first->machine, true);
  Resource* volume = scene->batch ? scene->batch->resource : nullptr;
  if (volume != nullptr && !volume->snapshot && first == scene->batch->life) {
    const auto entry = first->atoll().open_table().Find(volume->uuid);
    const bool served = entry && entry->state == OpenTable::Entry::State::kOpen;
    const auto whole = std::make_shared<Whole>();
    second->troubled_until_ns = first->troubled_until_ns;
    const CallPtr call = Begin(second, "open " + volume->name + " in the second",
                               ReadWhole(&second->atoll(), volume->ref(), whole));
    if (!world_.Drive([&] { return failed() || call->ended; })) {
      return Fail(call->what + " never ends");
    }
    Trace(call->what + ": " + call->status.ToString());
    if (call->status.ok() && served && first->atoll().open_table().Find(volume->uuid) == entry) {
      return Fail("two nodes have " + volume->name + " open");
    }
    (void)Heard(second, nullptr, call->status, call->began_ns, call->what);
    second->troubled_until_ns = world_.now_ns();
  }
  const bool ended = world_.Drive([&] { return failed() || scene->done(); });
  if (!ended) Fail("a request to a node that was started twice never ends");
  if (failed()) return;
  if (scene->batch) FinishBatch(std::exchange(scene->batch, nullptr));
  const auto late_ns = static_cast<int64_t>(Below(static_cast<uint64_t>(swarm_.late_ns)));
  world_.Kill(first, late_ns);
  Widow(first->machine, Oracle::Crash::kDeath);
}

}  // namespace atl::sim
