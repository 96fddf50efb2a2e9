// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/swarm.h"

#include <fmt/format.h>

#include <span>

#include "xseg/base/units.h"

namespace atl::sim {
namespace {

constexpr std::array<std::string_view, kStepCount> kSteps = {
    "io",     "create",  "snapshot",   "clone", "remove",  "resize", "rollback",
    "rename", "collect", "checkpoint", "relay", "restart", "close",  "wait"};
constexpr std::array<std::string_view, kDisturbanceCount> kDisturbances = {
    "none", "death", "power", "force", "intrude", "double-start", "jump"};

class Dice {
 public:
  explicit Dice(std::mt19937_64* random) : random_(random) {}
  uint64_t Below(uint64_t limit) { return (*random_)() % limit; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }
  template <typename T, size_t N>
  T OneOf(const T (&values)[N]) {
    return values[Below(N)];
  }

 private:
  std::mt19937_64* random_;
};

void DrawSteps(Dice* dice, Swarm* swarm) {
  for (uint32_t& weight : swarm->weights) {
    weight = dice->OneIn(3) ? 0 : 1 + static_cast<uint32_t>(dice->Below(4));
  }
  // Without these there is nothing to look at.
  swarm->weights[static_cast<size_t>(Step::kIo)] = dice->OneIn(4) ? 4 : 14;
  swarm->weights[static_cast<size_t>(Step::kCreate)] = 2;
}

void DrawDisturbances(Dice* dice, Swarm* swarm) {
  if (dice->OneIn(6)) return;
  swarm->disturbed_of = dice->OneOf<uint32_t>({2, 4, 8});
  for (size_t i = 1; i < kDisturbanceCount; ++i) {
    const auto disturbance = static_cast<Disturbance>(i);
    const bool needs_two =
        disturbance == Disturbance::kForce || disturbance == Disturbance::kIntrude;
    if (dice->OneIn(2) && !(needs_two && swarm->machines == 1)) {
      swarm->disturbances.push_back(disturbance);
    }
  }
  if (swarm->disturbances.empty()) swarm->disturbances.push_back(Disturbance::kDeath);
}

void DrawErrors(Dice* dice, Swarm* swarm) {
  if (dice->OneIn(2)) return;
  swarm->errors_of = dice->OneOf<uint32_t>({1, 3, 6});
  // All calls, or some of them more often.
  swarm->failing = AllStoreOps();
  uint32_t often = 10;
  if (!dice->OneIn(3)) {
    often = 100;
    for (size_t op = 0; op < kStoreOpCount; ++op) swarm->failing.set(op, dice->OneIn(4));
  }
  if (!dice->OneIn(3)) swarm->refused = 1 + static_cast<uint32_t>(dice->Below(often));
  if (dice->OneIn(3)) swarm->full = 1 + static_cast<uint32_t>(dice->Below(often));
  if (!dice->OneIn(3)) swarm->lost = 1 + static_cast<uint32_t>(dice->Below(often));
  if (dice->OneIn(3)) swarm->stalled = 1 + static_cast<uint32_t>(dice->Below(often));
  swarm->longest_stall_ns = dice->OneOf<int64_t>({2 * kMillisecond, kSecond, 20 * kSecond});
}

// What was not synced is lost by a sync that fails. Not where a node may be gone before its header
// says so, for then nobody knows; nor with checksums, which would say that something is wrong.
void DrawSickDisk(Dice* dice, Swarm* swarm) {
  swarm->loses_unsynced = true;
  swarm->machines = 1;
  swarm->sums_quiet_ns = 0;
  swarm->weights[static_cast<size_t>(Step::kRestart)] = 0;
  swarm->disturbances = {Disturbance::kPower};
  swarm->failing.set(static_cast<size_t>(StoreOp::kSync));
  swarm->failing.set(static_cast<size_t>(StoreOp::kSyncLog), dice->OneIn(2));
  swarm->refused = std::max<uint32_t>(swarm->refused, 50);
}

}  // namespace

std::string_view NameOf(Step step) { return kSteps[static_cast<size_t>(step)]; }
std::string_view NameOf(Disturbance disturbance) {
  return kDisturbances[static_cast<size_t>(disturbance)];
}

Swarm Swarm::Draw(std::mt19937_64* random) {
  Dice dice(random);
  Swarm swarm;
  swarm.machines = dice.OneOf({1, 1, 2, 3});
  swarm.durable_at_ack = dice.OneIn(8);
  swarm.delay_ns =
      dice.OneOf<int64_t>({0, 20 * kMicrosecond, 500 * kMicrosecond, 20 * kMillisecond});
  swarm.late_ns = dice.OneOf<int64_t>({kMillisecond, 50 * kMillisecond, 5 * kSecond, 30 * kSecond});
  swarm.lease_term_ns = dice.OneOf<int64_t>({15 * kSecond, 15 * kSecond, 2 * kSecond});
  swarm.buries = !dice.OneIn(4);
  swarm.steps = 8 + static_cast<int>(dice.Below(32));
  swarm.size =
      dice.OneOf<uint64_t>({96 * kKiB, 256 * kKiB + 512 * 3, 256 * kKiB + 512 * 3, kMiB + 512 * 5});
  swarm.most_resources = 3 + dice.Below(8);
  DrawSteps(&dice, &swarm);
  DrawDisturbances(&dice, &swarm);
  DrawErrors(&dice, &swarm);
  if (dice.OneIn(3)) swarm.sums_quiet_ns = dice.OneOf({kMillisecond, 200 * kMillisecond});
  swarm.flushes_before_log = dice.OneOf<uint32_t>({1, 1, 3, Swarm::kNoLog});
  if (swarm.errors_of > 0 && dice.OneIn(4)) DrawSickDisk(&dice, &swarm);
  return swarm;
}

std::string Swarm::ToString() const {
  std::string text = fmt::format(
      "{} machines, {}delays to {} us, late to {} ms, leases of {} s{}, {} steps, volumes of {} "
      "KiB",
      machines, durable_at_ack ? "durable at acknowledgement, " : "", delay_ns / kMicrosecond,
      late_ns / kMillisecond, lease_term_ns / kSecond, buries ? "" : " not ended by successors",
      steps, size / kKiB);
  if (sums_quiet_ns > 0) {
    text += fmt::format("\n  checksums of what was quiet for {} us", sums_quiet_ns / kMicrosecond);
  }
  if (flushes_before_log < kNoLog) {
    text += fmt::format("\n  a write log after {} flushes", flushes_before_log);
  }
  if (loses_unsynced) text += "\n  syncs that fail lose what they were of";
  text += "\n  steps:";
  for (size_t i = 0; i < kStepCount; ++i) {
    if (weights[i] > 0) text += fmt::format(" {}={}", kSteps[i], weights[i]);
  }
  if (disturbed_of > 0) text += fmt::format("\n  one in {} is disturbed by", disturbed_of);
  for (const Disturbance disturbance : disturbances)
    text += fmt::format(" {}", NameOf(disturbance));
  if (errors_of > 0) {
    text += fmt::format(
        "\n  one in {} has errors, per thousand calls: {} refused, {} full, {} lost answers, {} "
        "stalled to {} ms; {} kinds of calls",
        errors_of, refused, full, lost, stalled, longest_stall_ns / kMillisecond, failing.count());
  }
  return text;
}

}  // namespace atl::sim
