// SPDX-License-Identifier: Apache-2.0
//
// Looking at a segment without stopping or slowing anybody: everything is read once, atomically,
// through a mapping that may be read-only, and judged as outside bytes: a damaged segment gives a
// strange report, never a crash. Since the peers go on meanwhile, a report is not of one instant.
//
//   auto segment = Segment::AttachToInspect(std::move(memory));
//   const SegmentReport report = Inspect(**segment, {});
//   for (const std::string& finding : CheckSegment(**segment, {})) ...
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "xseg/metrics.h"
#include "xseg/segment.h"

namespace atl {

struct InspectOptions {
  // A request in one state for longer than this is listed as stuck.
  int64_t stuck_after_ns = 1'000'000'000;
  // Look whether owners live, by their pid on this host.
  bool look_at_processes = true;
  // At most so many stuck requests and findings are listed.
  size_t limit = 1000;
};

struct BlockCount {
  uint64_t in_use = 0;
  uint64_t cached = 0;
};

struct PortReport {
  PortIndex index = 0;
  std::string name;
  std::string state;
  uint32_t pid = 0;
  uint32_t incarnation = 0;
  bool owner_lives = false;
  int64_t claimed_ago_ns = 0;
  std::string sleep;                          // "no", "futex", "event".
  std::array<uint32_t, kSlotStates> slots{};  // Its own, by SlotState.
  uint32_t waiting = 0;                       // Of others, submitted to it.
  uint32_t holding = 0;                       // Of others, accepted by it.
  std::array<BlockCount, kBlockClasses> blocks;
  TrafficSnapshot sent;
  TrafficSnapshot served;
  uint64_t refused = 0;
  uint64_t sleeps = 0;
};

struct StuckRequest {
  SlotIndex slot = 0;
  PortIndex owner = 0;
  PortIndex holder = 0;
  std::string state;
  uint16_t op = 0;
  uint64_t trace = 0;
  int64_t age_ns = 0;  // Since it was submitted.
  BufferRef buffer;
};

struct SegmentReport {
  Uuid uuid;
  Geometry geometry;
  uint64_t total_bytes = 0;
  std::vector<PortReport> ports;  // Those that are not free.
  std::vector<StuckRequest> stuck;
  std::array<uint64_t, kBlockClasses> blocks_free{};
};

SegmentReport Inspect(const Segment& segment, const InspectOptions& options);

// What cannot be right in a segment that is in order, one sentence each; what may be so for a
// moment counts only after `stuck_after_ns`.
std::vector<std::string> CheckSegment(const Segment& segment, const InspectOptions& options);

nlohmann::json ToJson(const SegmentReport& report);
nlohmann::json ToJson(const TrafficSnapshot& traffic);

const char* NameOf(PortState state);
const char* NameOf(SlotState state);

}  // namespace atl
