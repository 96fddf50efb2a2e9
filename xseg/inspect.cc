// SPDX-License-Identifier: Apache-2.0
#include "xseg/inspect.h"

#include <algorithm>

#include "xseg/base/stamp_clock.h"
#include "xseg/block_pool.h"
#include "xseg/doorbell.h"

namespace atl {
namespace {

const char* NameOfSleep(uint32_t word) {
  switch (static_cast<Sleep>(word)) {
    case Sleep::kAwake:
      return "no";
    case Sleep::kFutex:
      return "futex";
    case Sleep::kEvent:
      return "event";
  }
  return "unknown";
}

// The stamp may be anything.
int64_t AgeOf(int64_t stamp_ns, int64_t now_ns) {
  return stamp_ns < 0 || stamp_ns > now_ns ? 0 : now_ns - stamp_ns;
}

PortReport ReportPort(const Segment& segment, PortIndex index, const InspectOptions& options,
                      int64_t now_ns) {
  const PortRecord& record = segment.port(index);
  const PortMetrics& metrics = segment.metrics(index);
  const PortControl control = record.LoadControl();
  PortReport out;
  out.index = index;
  out.name = record.LoadName();
  out.state = NameOf(control.state);
  out.pid = control.pid;
  out.incarnation = control.incarnation;
  out.owner_lives = options.look_at_processes && IsAlive(record.owner());
  out.claimed_ago_ns = AgeOf(record.claimed_ns.Load(), now_ns);
  out.sleep = NameOfSleep(record.hot.sleeping.load(std::memory_order_relaxed));
  out.sent = Take(metrics.sent);
  out.served = Take(metrics.served);
  out.refused = metrics.refused.Load();
  out.sleeps = metrics.sleeps.Load();
  return out;
}

struct Walk {
  const Segment& segment;
  const InspectOptions& options;
  int64_t now_ns;
  std::vector<PortReport> ports;  // All, by index.
  SegmentReport* report;
};

void WalkSlot(Walk& walk, SlotIndex index) {
  const SlotRecord& slot = walk.segment.slot(index);
  const SlotWord word = slot.LoadWord();
  const PortIndex owner = walk.segment.owner_of(index);
  const auto state = static_cast<size_t>(word.state);
  if (state < kSlotStates) ++walk.ports[owner].slots[state];
  if (word.holder < walk.ports.size()) {
    if (word.state == SlotState::kSubmitted) ++walk.ports[word.holder].waiting;
    if (word.state == SlotState::kAccepted) ++walk.ports[word.holder].holding;
  }
  if (state < static_cast<size_t>(SlotState::kSubmitted) || state >= kSlotStates) return;
  const int64_t age = AgeOf(slot.submitted_ns.Load(), walk.now_ns);
  if (age < walk.options.stuck_after_ns) return;
  if (walk.report->stuck.size() >= walk.options.limit) return;
  walk.report->stuck.push_back({index,
                                owner,
                                word.holder,
                                NameOf(word.state),
                                slot.op.Load(),
                                slot.trace.Load(),
                                age,
                                {slot.buffer_offset.Load(), slot.buffer_length.Load()}});
}

void WalkBlocks(Walk& walk) {
  for (int c = 0; c < kBlockClasses; ++c) {
    for (const auto& word : walk.segment.block_words(c)) {
      const BlockWord block = BlockWord::Unpack(word.load(std::memory_order_relaxed));
      if (block.use == BlockUse::kFree) ++walk.report->blocks_free[c];
      if (block.owner >= walk.ports.size()) continue;
      if (block.use == BlockUse::kInUse) ++walk.ports[block.owner].blocks[c].in_use;
      if (block.use == BlockUse::kCached) ++walk.ports[block.owner].blocks[c].cached;
    }
  }
}

}  // namespace

const char* NameOf(PortState state) {
  switch (state) {
    case PortState::kFree:
      return "free";
    case PortState::kClaiming:
      return "claiming";
    case PortState::kActive:
      return "active";
    case PortState::kQuarantined:
      return "quarantined";
    case PortState::kVacant:
      return "vacant";
  }
  return "unknown";
}

const char* NameOf(SlotState state) {
  switch (state) {
    case SlotState::kFree:
      return "free";
    case SlotState::kPrepared:
      return "prepared";
    case SlotState::kSubmitted:
      return "submitted";
    case SlotState::kAccepted:
      return "accepted";
    case SlotState::kAnswered:
      return "answered";
  }
  return "unknown";
}

SegmentReport Inspect(const Segment& segment, const InspectOptions& options) {
  SegmentReport report;
  report.uuid = segment.uuid();
  report.geometry = segment.geometry();
  report.total_bytes = segment.layout().total_bytes;
  Walk walk{segment, options, StampNowNs(), {}, &report};
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    walk.ports.push_back(ReportPort(segment, i, options, walk.now_ns));
  }
  for (SlotIndex i = 0; i < segment.slot_count(); ++i) WalkSlot(walk, i);
  WalkBlocks(walk);
  std::erase_if(walk.ports, [](const PortReport& port) { return port.state == "free"; });
  report.ports = std::move(walk.ports);
  return report;
}

}  // namespace atl
