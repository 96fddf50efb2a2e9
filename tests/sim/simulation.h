// SPDX-License-Identifier: Apache-2.0
//
// One seed of the simulator: a random sequence of steps over nodes on one store, with whatever
// befalls them, and a model that says of each answer whether it is allowed. docs/simulator.md has
// the fault model and what is checked.
//
// What is allowed:
//   - Of data: what an Oracle says for each sector, whatever happened.
//   - Of errors: where nothing was done to a node, its store and the volume, everything succeeds.
//     Else a request may fail, with the codes of a store that fails or of a volume that was lost or
//     has become read-only; never as if something were damaged or absent.
//   - An operation that has failed is made again once nothing is in its way. Then it must succeed.
//
// A failure ends it, with coroutines suspended anywhere: it is not to be destroyed then.
//
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/peers/volumes/oracle.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/swarm.h"

namespace atl::sim {

class Simulation {
 public:
  Simulation(uint64_t seed, bool traces);
  ~Simulation();

  // Runs it; false if something was not as it must be.
  bool Run();
  const std::string& failure() const { return failure_; }
  std::string Describe() const { return swarm_.ToString(); }

 private:
  struct Request {
    ByteRange range;
    Oracle::Mark mark = 0;
    Oracle::Kind kind = Oracle::Kind::kWrite;
  };
  struct Resource {
    Uuid uuid;
    std::string name;
    bool snapshot = false;
    Uuid parent;  // Of a snapshot.
    Oracle oracle;
    // What snapshots that are being taken of it may be.
    std::vector<Oracle*> images;
    int home = -1;  // The machine that used it last.
    // Not read since all of its holder died, or since it was made from what may be in doubt.
    std::optional<Oracle::Crash> unsettled;
    // Something was done to it: requests may fail until it is healed.
    bool sick = false;
    bool busy = false;  // Something is done with it.
    // Its holder has said that it is read-only.
    bool read_only = false;
    // Writes that were acknowledged while a snapshot of it was taken; of a snapshot: when it was.
    std::vector<Request> around;
    ResourceRef ref() const { return ResourceRef::Of(uuid); }
  };
  // A change of what there is. It is made again until it has succeeded.
  struct Change {
    std::string what;
    Resource* of = nullptr;    // The resource that it is about, if there is one already.
    Resource* from = nullptr;  // One that must stay meanwhile.
    bool alone = false;        // Nothing else is done with it meanwhile.
    bool names = false;        // Of two at once nobody knows which one is the last.
    std::function<Task<Status>(LocalAtoll*)> make;
    std::function<void()> begin;   // Before it is made for the first time.
    std::function<void()> landed;  // The moment at which it is known to have happened.
    std::function<void()> apply;   // To what the model knows.
    explicit operator bool() const { return static_cast<bool>(make); }
  };
  // A call that was made and is not waited for.
  struct Call {
    LifePtr life;
    std::string what;
    int64_t began_ns = 0;
    bool ended = false;
    Status status;
  };
  using CallPtr = std::shared_ptr<Call>;
  struct Running {
    Change change;
    CallPtr call;
  };
  struct SeenRead {
    ByteRange range;
    std::vector<Oracle::Mark> newest;
    Bytes bytes;
  };
  // Requests to one resource at once.
  struct Batch {
    Resource* resource = nullptr;
    LifePtr life;
    Device* device = nullptr;
    int64_t began_ns = 0;
    uint64_t running = 0;
    bool read_only = false;  // Somebody has heard that it is.
    std::vector<Request> acknowledged;
    std::vector<SeenRead> reads;
    // What is durable once it is known that all of it was read as it had to be.
    std::vector<std::vector<Oracle::Mark>> flushed;
    std::vector<Request> fua;
  };
  using BatchPtr = std::shared_ptr<Batch>;
  // What goes on at once.
  struct Scene {
    BatchPtr batch;
    std::vector<Running> running;
    std::vector<CallPtr> others;  // Of disturbances.
    LifePtr life;                 // That may be disturbed.
    bool done() const;
  };

  // Dice and words (simulation.cc).
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }
  bool failed() const { return !failure_.empty(); }
  void Fail(std::string what);
  void Complain(const std::string& wrong);
  void Trace(const std::string& line) const;
  Uuid NewUuid();
  std::string NewName(const char* kind) { return kind + std::to_string(++names_); }

  // Steps (simulation.cc).
  void DoStep();
  Step PickStep();
  void DoScene(Step step);
  void AddChange(Scene* scene, Change change);
  void Finish(Scene* scene);
  void DoRestart(int machine);
  void DoClose();
  void DoWait();

  // What is allowed to fail (sim_outcome.cc).
  bool IsQuiet(const LifePtr& life, const Resource* of, int64_t began_ns);
  bool IsExplained(const LifePtr& life, const Resource* of, const Status& status, int64_t began_ns);
  // True if its client has heard that it succeeded. A failure that is not allowed fails the
  // simulation, one that is makes the resource sick.
  bool Heard(const LifePtr& life, Resource* of, const Status& status, int64_t began_ns,
             const std::string& what);
  // Nothing fails any more, and what failed has come to its end.
  void Quiesce();
  // Makes the change until it has succeeded, after an attempt that did not.
  void Resolve(Change change);
  // The volume serves everything again.
  void Heal(Resource* volume);

  // Changes (sim_changes.cc).
  Change PickChange(Step step);
  Change Create();
  Change Snapshot(Resource* volume);
  Change Clone();
  Change Remove();
  Change Resize();
  Change Rollback();
  Change Rename();
  Change Collect();
  Change Checkpoint();
  Change Relay();
  Resource* Pick(bool snapshot);
  Resource* Any();
  bool full() const { return resources_.size() >= swarm_.most_resources; }
  Resource* Add(const Uuid& uuid, std::string name);
  void Forget(const Uuid& uuid);
  CallPtr Begin(const LifePtr& life, std::string what, Task<Status> task,
                std::function<void()> landed = nullptr);
  static Task<void> Follow(CallPtr call, Task<Status> task, std::function<void()> landed);

  // Requests (sim_requests.cc).
  BatchPtr NewBatch(Resource* resource, const LifePtr& life);
  void Launch(const BatchPtr& batch, uint64_t most);
  void LaunchOne(const BatchPtr& batch);
  void RunIn(const BatchPtr& batch, Task<void> task);
  ByteRange PickRange(uint64_t size);
  Oracle::Mark Submit(const BatchPtr& batch, ByteRange range, Oracle::Kind kind);
  bool HeardIn(const BatchPtr& batch, const Status& status, const char* what, bool writes);
  void Acknowledge(const BatchPtr& batch, Request request, bool durable);
  Task<void> ReadTask(BatchPtr batch, ByteRange range, std::vector<Oracle::Mark> newest);
  Task<void> WriteTask(BatchPtr batch, Request request, DeviceWriteOptions options);
  Task<void> ZeroTask(BatchPtr batch, Request request, uint64_t how);
  Task<void> FlushTask(BatchPtr batch, std::vector<Oracle::Mark> covered);
  Task<void> ExtentsTask(BatchPtr batch, ByteRange range, std::vector<Oracle::Mark> newest);
  void FinishBatch(const BatchPtr& batch);
  Device* DeviceOf(const LifePtr& life, Resource* resource);
  void CloseDevice(const LifePtr& life, Resource* resource);

  // Lives and disturbances (sim_lives.cc).
  LifePtr AnyLife();
  // A node that may use it: the one that did last, or another after that one has let go.
  LifePtr LifeFor(Resource* resource);
  // Nobody but `except` has it open any more. False if that cannot be had now.
  bool Vacate(Resource* resource, const LifePtr& except);
  void Disturb(Scene* scene);
  void Die(const LifePtr& life);
  void LosePower();
  void Jump();
  void Force(Scene* scene);
  void Intrude(Scene* scene);
  void StartTwice(Scene* scene);
  void Widow(int machine, Oracle::Crash crash);
  void LookAtThePast();
  void LookAtThePast(const LifePtr& life, Resource* volume, Past* past);

  // Looking at things (sim_check.cc).
  struct Whole {
    uint64_t size = 0;
    Bytes bytes;
  };
  static Task<Status> ReadDevice(Device* device, std::shared_ptr<Whole> out);
  static Task<Status> Take(LifePtr life, ResourceRef ref, std::shared_ptr<Whole> out);
  static Task<Status> ReadWhole(LocalAtoll* atoll, ResourceRef ref, std::shared_ptr<Whole> out);
  // What it reads as is known. False if it cannot be read now.
  bool Settle(Resource* resource);
  void SettleAs(Resource* resource, const Whole& whole);
  // And so will drop what is not durable when it is opened the next time.
  bool KnowsOfFailedSync(const Resource& volume);
  void CheckAround(const Resource& snapshot, ConstSpan bytes);
  void CheckStructure(const std::string& when);
  void CheckNames();
  void CheckAll();
  void RemoveAll();
  void CheckNothingIsLeft();

  const uint64_t seed_;
  const bool traces_;
  std::mt19937_64 random_;
  const Swarm swarm_;
  SimWorld world_;
  std::string failure_;
  uint64_t names_ = 0;
  uint64_t losses_ = 0;  // Of power.
  Oracle::Mark marks_ = 0;
  std::map<Uuid, std::unique_ptr<Resource>> resources_;
};

}  // namespace atl::sim
