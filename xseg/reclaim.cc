// SPDX-License-Identifier: Apache-2.0
#include "xseg/reclaim.h"

#include <fmt/format.h>

#include "xseg/block_pool.h"
#include "xseg/doorbell.h"
#include "xseg/port_claim.h"

namespace atl {
namespace {

bool HasOwner(PortState state) {
  return state == PortState::kClaiming || state == PortState::kActive ||
         state == PortState::kQuarantined;
}

void WithdrawSent(const Segment& segment, PortIndex port, QuarantineReport* report) {
  const SlotIndex first = segment.first_slot(port);
  for (SlotIndex i = first; i < first + segment.geometry().slots_per_port; ++i) {
    SlotRecord& slot = segment.slot(i);
    const SlotWord word = slot.LoadWord();
    if (word.state == SlotState::kSubmitted &&
        slot.ExchangeWord(word, {SlotState::kPrepared, kNoPort, word.sequence})) {
      ++report->withdrawn;
    } else if (slot.LoadWord().state == SlotState::kAccepted) {
      ++report->in_flight;
    }
  }
}

// It may have died after it stored the state of an answer and before it set the bit.
void LookAtHeld(const Segment& segment, PortIndex port, QuarantineReport* report) {
  for (SlotIndex i = 0; i < segment.slot_count(); ++i) {
    const SlotWord word = segment.slot(i).LoadWord();
    if (word.holder != port) continue;
    if (word.state == SlotState::kSubmitted || word.state == SlotState::kAccepted) {
      ++report->to_replay;
    } else if (word.state == SlotState::kAnswered) {
      PostAnswer(segment, i);
      RingPort(segment, segment.owner_of(i));
      ++report->reannounced;
    }
  }
}

void ResetTraffic(PortTraffic& traffic) {
  uint64_t started = 0;
  for (const auto& requests : traffic.requests) started += requests.Load();
  traffic.finished.Store(started);
}

void StoreState(PortRecord& record, PortState state) {
  record.start_ticks.Store(0);
  record.control.store(PortControl{state, 0, record.LoadControl().incarnation}.Pack(),
                       std::memory_order_release);
}

Status CheckState(const Segment& segment, PortIndex port, PortState wanted, const char* what) {
  if (port >= segment.geometry().ports) return {Code::kInvalid, "no such port"};
  if (segment.port(port).LoadControl().state == wanted) return {};
  return {Code::kConflict, fmt::format("port {} is not {}", port, what)};
}

}  // namespace

std::vector<PortIndex> PortsOfTheDead(const Segment& segment) {
  std::vector<PortIndex> out;
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    const PortRecord& record = segment.port(i);
    if (HasOwner(record.LoadControl().state) && !IsAlive(record.owner())) out.push_back(i);
  }
  return out;
}

std::vector<PortIndex> PortsOf(const Segment& segment, const ProcessId& process) {
  std::vector<PortIndex> out;
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    const PortRecord& record = segment.port(i);
    if (HasOwner(record.LoadControl().state) && record.owner() == process) out.push_back(i);
  }
  return out;
}

Result<QuarantineReport> Quarantine(const Segment& segment, PortIndex port, ProofOfDeath proof) {
  if (port >= segment.geometry().ports) return Status(Code::kInvalid, "no such port");
  const PortRecord& record = segment.port(port);
  const PortState state = record.LoadControl().state;
  if (!HasOwner(state)) {
    return Status(Code::kConflict, fmt::format("port {} has no owner", port));
  }
  if (state != PortState::kQuarantined) {
    if (proof == ProofOfDeath::kCheckProcess && IsAlive(record.owner())) {
      return Status(Code::kBusy,
                    fmt::format("the owner of port {} (pid {}) lives", port, record.owner().pid));
    }
    if (!MarkQuarantined(segment, port)) {
      return Status(Code::kConflict, fmt::format("port {} changes hands", port));
    }
  }
  QuarantineReport report;
  WithdrawSent(segment, port, &report);
  LookAtHeld(segment, port, &report);
  // It may have silenced a doorbell and died before it rang it (doorbell.h).
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    RingAnyway(segment.port(i).hot, {.fd = segment.doorbell_fd(i)});
  }
  return report;
}

uint32_t InFlightOf(const Segment& segment, PortIndex port) {
  uint32_t count = 0;
  const SlotIndex first = segment.first_slot(port);
  for (SlotIndex i = first; i < first + segment.geometry().slots_per_port; ++i) {
    if (segment.slot(i).LoadWord().state == SlotState::kAccepted) ++count;
  }
  return count;
}

Result<ReleaseReport> Release(const Segment& segment, PortIndex port) {
  RETURN_IF_ERROR(CheckState(segment, port, PortState::kQuarantined, "quarantined"));
  if (const uint32_t busy = InFlightOf(segment, port); busy > 0) {
    return Status(Code::kBusy, fmt::format("{} requests of port {} are in flight", busy, port));
  }
  ReleaseReport report;
  PortRecord& record = segment.port(port);
  const SlotIndex first = segment.first_slot(port);
  for (SlotIndex i = first; i < first + segment.geometry().slots_per_port; ++i) {
    SlotRecord& slot = segment.slot(i);
    const SlotWord word = slot.LoadWord();
    if (word.state == SlotState::kFree) continue;
    slot.StoreWord({SlotState::kFree, kNoPort, word.sequence});
    ++report.slots;
  }
  record.hot.answers.store(0, std::memory_order_relaxed);
  record.hot.express_answer.store(0, std::memory_order_relaxed);
  record.answers.Clear();
  report.blocks = FreeBlocksOf(PartsOf(segment), port);
  ResetTraffic(segment.metrics(port).sent);
  ResetTraffic(segment.metrics(port).served);
  StoreState(record, PortState::kVacant);
  return report;
}

Result<uint32_t> Abandon(const Segment& segment, PortIndex port, Code code) {
  RETURN_IF_ERROR(CheckState(segment, port, PortState::kVacant, "vacant"));
  const uint32_t answered = AnswerAllHeldBy(segment, port, code);
  PortRecord& record = segment.port(port);
  record.StoreName("");
  StoreState(record, PortState::kFree);
  return answered;
}

}  // namespace atl
