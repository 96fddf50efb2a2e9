// SPDX-License-Identifier: Apache-2.0
//
// What one seed does: which operations, which faults, and how often. Each seed has a random subset
// of all ("swarm testing"), since what is always there hides what it keeps from happening.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "peers/store/filter/error_filter.h"

namespace atl::sim {

// A step of a sequence. The names are those of the trace.
enum class Step : uint8_t {
  kIo,
  kCreate,
  kSnapshot,
  kClone,
  kRemove,
  kResize,
  kRollback,
  kRename,
  kCollect,     // Garbage.
  kCheckpoint,  // As the composer makes one when its journal is full.
  kRelay,       // A clone of a snapshot, which is removed at once, while garbage is collected.
  kRestart,     // A node stops in order.
  kClose,       // Clients go.
  kWait,        // Time passes.
};
inline constexpr size_t kStepCount = static_cast<size_t>(Step::kWait) + 1;
std::string_view NameOf(Step step);

// What may befall the operations and requests of a step.
enum class Disturbance : uint8_t {
  kNone,
  kDeath,        // The node dies.
  kPower,        // All nodes die, and what was not synced is lost or not.
  kForce,        // Another node breaks the lock by force and opens the volume.
  kIntrude,      // Another node tries to write to the volume.
  kDoubleStart,  // The node is started again while it runs.
  kJump,         // The clock goes on by more than a lease, and nothing has run.
};
inline constexpr size_t kDisturbanceCount = static_cast<size_t>(Disturbance::kJump) + 1;
std::string_view NameOf(Disturbance disturbance);

struct Swarm {
  int machines = 1;
  bool durable_at_ack = false;
  int64_t delay_ns = 0;  // Of the store's calls, at most.
  int64_t late_ns = 0;   // What a dead node had in flight lands within this.
  int64_t lease_term_ns = 0;
  int64_t sums_quiet_ns = 0;  // The store keeps checksums of data, of what was quiet for so long.
  static constexpr uint32_t kNoLog = 1000;  // Flushes: never so many.
  uint32_t flushes_before_log = 0;          // Before a volume has a write log.
  bool buries = true;  // A node that starts again ends the lease of its predecessor.
  int steps = 0;
  uint64_t size = 0;  // Of new volumes.
  size_t most_resources = 0;

  std::array<uint32_t, kStepCount> weights{};
  std::vector<Disturbance> disturbances;  // Those that there are.
  uint32_t disturbed_of = 0;              // One step in so many; 0: none.

  // Of calls to the store, in the steps in which there are errors at all.
  uint32_t errors_of = 0;       // One step in so many; 0: none.
  StoreOpSet failing;           // Which calls.
  uint32_t refused = 0;         // Per thousand: it does not happen.
  uint32_t full = 0;            // Per thousand of those that take space: no space.
  uint32_t lost = 0;            // Per thousand: it happens, and its caller hears of an error.
  bool loses_unsynced = false;  // A sync that is refused may lose what it was of.
  uint32_t stalled = 0;         // Per thousand: it takes up to `longest_stall_ns`.
  int64_t longest_stall_ns = 0;

  static Swarm Draw(std::mt19937_64* random);
  std::string ToString() const;
};

}  // namespace atl::sim
