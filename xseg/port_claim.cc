// SPDX-License-Identifier: Apache-2.0
#include "xseg/port_claim.h"

#include <fmt/format.h>

#include <algorithm>

#include "xseg/base/stamp_clock.h"
#include "xseg/doorbell.h"

namespace atl {
namespace {

bool IsName(std::string_view name) {
  return !name.empty() && name.size() < kPortNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

bool HasName(const PortRecord& record, std::string_view name) {
  return record.control.load(std::memory_order_seq_cst) != 0 &&
         record.LoadControl().state != PortState::kFree && record.LoadName() == name;
}

// Takes a port that is `from`; true if nobody else was faster.
bool TakePort(PortRecord& record, PortControl from, uint32_t pid) {
  return record.ExchangeControl(from, {PortState::kClaiming, pid, from.incarnation + 1});
}

// The name is written; from now on others see it. Both of two rivals publish before they look, so
// at least one of them sees the other.
bool IsOnlyOne(const Segment& segment, PortIndex mine, std::string_view name) {
  segment.port(mine).control.fetch_or(0, std::memory_order_seq_cst);
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    if (i != mine && HasName(segment.port(i), name)) return false;
  }
  return true;
}

void SetFree(PortRecord& record) {
  record.StoreName("");
  record.start_ticks.Store(0);
  const PortControl before = record.LoadControl();
  record.control.store(PortControl{PortState::kFree, 0, before.incarnation}.Pack(),
                       std::memory_order_release);
}

Result<PortIndex> TakeFreePort(const Segment& segment, std::string_view name, uint32_t pid) {
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    PortRecord& record = segment.port(i);
    const PortControl control = record.LoadControl();
    if (control.state != PortState::kFree || !TakePort(record, control, pid)) continue;
    // It owes nothing to those who sent to an earlier port at this place; but whoever finds it by
    // its name, from the next line on, is to be served.
    AnswerAllHeldBy(segment, i, Code::kUnavailable);
    record.StoreName(name);
    if (IsOnlyOne(segment, i, name)) return i;
    SetFree(record);
    return Status(Code::kBusy, fmt::format("port '{}' is being claimed by another", name));
  }
  return Status(Code::kLimit, fmt::format("no free port for '{}'", name));
}

Result<PortIndex> TakePortFor(const Segment& segment, std::string_view name, uint32_t pid) {
  const auto known = FindPort(segment, name);
  if (!known.ok()) return TakeFreePort(segment, name, pid);
  PortRecord& record = segment.port(*known);
  const PortControl control = record.LoadControl();
  if (control.state != PortState::kVacant) {
    return Status(Code::kExists, fmt::format("port '{}' has an owner (pid {})", name, control.pid));
  }
  if (!TakePort(record, control, pid)) {
    return Status(Code::kBusy, fmt::format("port '{}' is being claimed by another", name));
  }
  return *known;
}

}  // namespace

Result<PortIndex> FindPort(const Segment& segment, std::string_view name) {
  for (PortIndex i = 0; i < segment.geometry().ports; ++i) {
    if (HasName(segment.port(i), name)) return i;
  }
  return Status(Code::kNotFound, fmt::format("no port '{}'", name));
}

Result<ClaimedPort> ClaimPort(const Segment& segment, std::string_view name) {
  if (!IsName(name)) {
    return Status(Code::kInvalid, "a port's name is 1 to 55 printable characters without spaces");
  }
  const ProcessId self = ThisProcess();
  ASSIGN_OR_RETURN(const PortIndex index, TakePortFor(segment, name, self.pid));
  PortRecord& record = segment.port(index);
  record.start_ticks.Store(self.start_ticks);
  record.claimed_ns.Store(StampNowNs());
  AnnounceAwake(record.hot);
  const uint32_t incarnation = record.LoadControl().incarnation;
  record.control.store(PortControl{PortState::kActive, self.pid, incarnation}.Pack(),
                       std::memory_order_seq_cst);
  return ClaimedPort{index, incarnation};
}

void GiveUpPort(const Segment& segment, PortIndex port) {
  PortRecord& record = segment.port(port);
  for (SlotIndex i = 0; i < segment.slot_count(); ++i) {
    const SlotWord word = segment.slot(i).LoadWord();
    if (word.holder != port || word.state != SlotState::kSubmitted) continue;
    record.start_ticks.Store(0);
    record.control.store(
        PortControl{PortState::kVacant, 0, record.LoadControl().incarnation}.Pack(),
        std::memory_order_release);
    return;
  }
  SetFree(record);
}

bool MarkQuarantined(const Segment& segment, PortIndex port) {
  PortRecord& record = segment.port(port);
  const PortControl before = record.LoadControl();
  if (before.state != PortState::kActive && before.state != PortState::kClaiming) return false;
  return record.ExchangeControl(before, {PortState::kQuarantined, before.pid, before.incarnation});
}

void PostAnswer(const Segment& segment, SlotIndex slot) {
  const PortIndex owner = segment.owner_of(slot);
  PortRecord& record = segment.port(owner);
  const unsigned number = slot - segment.first_slot(owner);
  record.answers.Post(number);
  record.hot.RaiseAnswer(number / 64);
}

void RingPort(const Segment& segment, PortIndex port) {
  RingIfAsleep(segment.port(port).hot, {.fd = segment.doorbell_fd(port)});
}

uint32_t AnswerAllHeldBy(const Segment& segment, PortIndex port, Code code) {
  uint32_t answered = 0;
  for (SlotIndex i = 0; i < segment.slot_count(); ++i) {
    SlotRecord& slot = segment.slot(i);
    const SlotWord word = slot.LoadWord();
    if (word.holder != port) continue;
    if (word.state != SlotState::kSubmitted && word.state != SlotState::kAccepted) continue;
    const SlotWord accepted{SlotState::kAccepted, port, word.sequence};
    if (word != accepted && !slot.ExchangeWord(word, accepted)) continue;
    slot.code.Store(static_cast<uint8_t>(code));
    slot.result.Store(0);
    slot.answered_after.Store(1);
    slot.StoreWord({SlotState::kAnswered, port, word.sequence});
    PostAnswer(segment, i);
    RingPort(segment, segment.owner_of(i));
    ++answered;
  }
  return answered;
}

}  // namespace atl
