// SPDX-License-Identifier: Apache-2.0
//
// Machines over one memory medium in virtual time, and the lives of the node of each. A node that
// has died goes on in its grave until everything that it had in flight has ended, while the next
// one runs already: so what is late lands in the middle of its successor's work.
//
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "peers/store/checksum/checksum_store.h"
#include "tests/peers/volumes/node_harness.h"
#include "tests/peers/volumes/oracle.h"
#include "tests/sim/fault_filter.h"
#include "tests/sim/swarm.h"

namespace atl::sim {

// A volume of which this node does not know yet that it is another's: it may answer reads from the
// past for a while, and nothing else.
struct Past {
  Oracle oracle;
  int64_t since_ns = 0;
};

// One life of a machine's node.
struct Life {
  int machine = 0;
  std::unique_ptr<MemoryNode> node;
  FaultFilter* faults = nullptr;
  ChecksumStore* sums = nullptr;  // Null: there are no checksums of data.
  TaskGroup tasks;                // Whatever was asked of it.
  std::map<Uuid, std::unique_ptr<Device>> devices;
  std::map<Uuid, Past> past;
  bool dead = false;  // What it still says nobody hears.
  bool gone = false;  // Nothing of it runs any more.
  // Until then it may fail though its store did not.
  int64_t troubled_until_ns = 0;
  // What was taken from it by force; it finds that out in any way.
  std::set<Uuid> robbed;

  LocalAtoll& atoll() const { return node->atoll(); }
};
using LifePtr = std::shared_ptr<Life>;

class SimWorld {
 public:
  // `swarm` outlives it.
  SimWorld(uint64_t seed, const Swarm* swarm);

  TestEnv& env() { return env_; }
  int64_t now_ns() { return env_.BootNs(); }
  void set_errors(bool on) { errors_ = on; }
  bool errors() const { return errors_; }
  // Until then something that a dead node had in flight may not have landed.
  int64_t late_until_ns() const { return late_until_ns_; }

  int machines() const { return static_cast<int>(lives_.size()); }
  // Null: it is down.
  LifePtr life(int machine) const { return lives_[static_cast<size_t>(machine)]; }
  std::vector<LifePtr> Living() const;
  // The next life of a machine that is down; or of one that runs, which then has two.
  // `buries`: ends the lease of the one before.
  LifePtr Start(int machine, bool buries);
  // As by kill -9; what it has in flight lands up to `late_ns` later.
  void Kill(const LifePtr& life, int64_t late_ns);
  void LosePower(uint64_t seed);
  // In order. Its devices are closed before.
  Status Stop(int machine);

  // Steps until `done`. False if it is not after an hour of virtual time, or nothing is left to do.
  bool Drive(const std::function<bool()>& done);
  // Some steps, or fewer if `done`.
  void DriveSome(uint64_t steps, const std::function<bool()>& done);
  void Pass(int64_t duration_ns) { env_.RunUntilIdleFor(duration_ns); }
  // Empty if it does not end.
  template <typename T>
  std::optional<T> Run(Task<T> task) {
    auto out = std::make_shared<std::optional<T>>();
    Spawn(Keep(std::move(task), out));
    if (!Drive([&out] { return out->has_value(); })) return std::nullopt;
    return std::move(*out);
  }
  // Whether there may be leases of the dead, who seem to live: all processes are this one here. One
  // that was ended may come again by a renewal that lands late.
  bool has_ghosts() const { return !ghosts_.empty(); }
  // There were some at that time, or later.
  bool was_haunted(int64_t since_ns) const { return has_ghosts() || laid_ns_ >= since_ns; }
  // Ends the leases of those of whom nothing is in flight any more.
  Status BuryAll(const LifePtr& life);
  // Destroys those of which nothing runs any more; returns how many are left.
  size_t ClearGraves();
  // A sync or the like of it has failed: what was not durable may be gone.
  bool is_spoiled(const Uuid& uuid) const { return spoiled_.contains(uuid); }
  void Forgive(const Uuid& uuid) { spoiled_.erase(uuid); }
  // How often that has happened so far.
  uint64_t spoils() const { return spoils_; }
  // An instance of the store for who looks at it from outside.
  std::unique_ptr<Store> OpenStore();

 private:
  template <typename T>
  static Task<void> Keep(Task<T> task, std::shared_ptr<std::optional<T>> out) {
    out->emplace(co_await task);
  }
  static Task<void> Bury(LifePtr life);
  static Task<Status> ShutDown(LifePtr life);
  std::unique_ptr<ChecksumStore> WithSums(std::unique_ptr<Store> below);
  bool Refuse(const StoreCall& call);
  void Retire(const LifePtr& life, int64_t lands_at_ns);

  const Swarm* swarm_;
  TestEnv env_;
  MemoryWorld medium_;
  bool errors_ = false;
  int64_t late_until_ns_ = 0;
  int64_t laid_ns_ = -1;  // When the last ghost was laid.
  int started_ = 0;
  std::vector<LifePtr> lives_;
  std::vector<Uuid> last_incarnations_;  // Of each machine.
  std::map<Uuid, int64_t> ghosts_;       // And when the last of what they had in flight lands.
  std::vector<LifePtr> graves_;
  std::set<Uuid> spoiled_;
  uint64_t spoils_ = 0;
};

}  // namespace atl::sim
