// SPDX-License-Identifier: Apache-2.0
#include "xseg/port.h"

#include <fmt/format.h>

#include <utility>

#include "xseg/base/stamp_clock.h"
#include "xseg/port_claim.h"
#include "xseg/stamps.h"

namespace atl {

Result<std::unique_ptr<Port>> Port::Claim(Segment* segment, std::string_view name) {
  ASSIGN_OR_RETURN(const ClaimedPort claimed, ClaimPort(*segment, name));
  return std::unique_ptr<Port>(new Port(segment, claimed.index, claimed.incarnation));
}

Result<PortIndex> Port::Find(const Segment& segment, std::string_view name) {
  return FindPort(segment, name);
}

Port::Port(Segment* segment, PortIndex index, uint32_t incarnation)
    : segment_(segment),
      index_(index),
      incarnation_(incarnation),
      record_(&segment->port(index)),
      metrics_(&segment->metrics(index)),
      buffers_(PartsOf(*segment), index),
      sender_({&segment->slot(segment->first_slot(index)), segment->geometry().slots_per_port},
              &record_->answers, &record_->hot, &metrics_->sent),
      express_(&record_->hot.express_request) {}

Port::~Port() {
  if (vanished_) {
    LeaveBuffers();
  } else {
    Close();
  }
}

void Port::LeaveBuffers() {
  for (unsigned i = 0; i < sender_.capacity(); ++i) sender_.BufferOf(i).Disown();
  buffers_.Forget();
}

void Port::Close() {
  RingDeferred();
  // Whoever has the port next finds nothing that was given out already.
  express_.Settle();
  sender_.Settle();
  if (sender_.used() != 0 || accepted_ != 0 || buffers_.in_use() != 0) {
    LeaveBuffers();
    MarkQuarantined(*segment_, index_);
    return;
  }
  buffers_.Flush();
  GiveUpPort(*segment_, index_);
}

std::optional<Request> Port::Prepare(uint16_t op) {
  auto request = sender_.Prepare(this, op);
  if (!request) metrics_->refused.Add(1);
  return request;
}

void Port::Submit(Request&& request, PortIndex to) {
  CHECK(request.home() == this);
  sender_.Submit(std::move(request), {.holder = to,
                                      .box = &segment_->mailbox({.to = to, .from = index_}),
                                      .to = &segment_->port(to).hot,
                                      .summary_bit = index_,
                                      .express_from = segment_->first_slot(index_) + 1ull});
  Ring(to);
}

void Port::Ring(PortIndex port) {
  if (defers_) {
    to_ring_ |= 1ull << port;
  } else {
    RingPort(*segment_, port);
  }
}

void Port::RingDeferred() {
  while (to_ring_ != 0) RingPort(*segment_, static_cast<PortIndex>(TakeLowestBit(&to_ring_)));
}

std::optional<Request> Port::Accept() {
  while (true) {
    for (int number = reader_.Next(); number >= 0; number = reader_.Next()) {
      if (auto request = TryAccept(static_cast<unsigned>(number))) return request;
    }
    if (senders_ == 0) {
      // Both have their turn: whoever is taken express does not keep the others waiting.
      senders_ = TakeArrivals();
      if (auto request = AcceptExpress()) return request;
      if (senders_ == 0) return std::nullopt;
    }
    from_ = static_cast<PortIndex>(TakeLowestBit(&senders_));
    if (from_ >= segment_->geometry().ports) continue;
    reader_ = MailboxReader(&segment_->mailbox({.to = index_, .from = from_}));
    reader_.Look(kAllWords);
  }
}

// The mailbox that will be read comes while the summary is taken.
uint64_t Port::TakeArrivals() {
  uint64_t some = record_->hot.arrivals.load(std::memory_order_relaxed);
  if (some == 0) return 0;
  const auto first = static_cast<PortIndex>(TakeLowestBit(&some));
  if (first < segment_->geometry().ports) {
    PrefetchForWrite(&segment_->mailbox({.to = index_, .from = first}));
  }
  return record_->hot.TakeArrivals();
}

std::optional<Request> Port::AcceptExpress() {
  const auto slot = express_.Next();
  if (!slot || *slot >= segment_->slot_count()) return std::nullopt;
  from_ = segment_->owner_of(static_cast<SlotIndex>(*slot));
  return TryAccept(static_cast<unsigned>(*slot - segment_->first_slot(from_)));
}

std::optional<Request> Port::TryAccept(unsigned number) {
  if (number >= segment_->geometry().slots_per_port) return std::nullopt;
  SlotRecord& slot = segment_->slot(segment_->first_slot(from_) + number);
  PrefetchForWrite(&slot);
  const int64_t now = StampNowNs();  // While the slot is on its way.
  const SlotWord word = slot.LoadWord();
  // Otherwise the bit is stale. The exchange fails only if reclaim withdraws it at this moment.
  if (word.state != SlotState::kSubmitted || word.holder != index_) return std::nullopt;
  if (!slot.ExchangeWord(word, {SlotState::kAccepted, index_, word.sequence})) return std::nullopt;
  slot.accepted_after.Store(StampAfter(slot.submitted_ns.Load(), now));
  metrics_->served.Started(slot.op.Load(), slot.buffer_length.Load());
  ++accepted_;
  return Request(this, &slot, static_cast<uint16_t>(number), Request::Role::kReceiver);
}

void Port::Respond(Request&& request, Code code, int64_t result) {
  CHECK(request.valid() && request.role() == Request::Role::kReceiver && request.home() == this);
  if (vanished_) return request.Leave();
  Answer(*request.Release(), code, result);
}

void Port::Answer(SlotRecord& slot, Code code, int64_t result) {
  const SlotWord word = slot.LoadWord();
  CHECK(word.state == SlotState::kAccepted && word.holder == index_)
      << "answering a request that this port does not hold";
  const auto index = static_cast<SlotIndex>(&slot - &segment_->slot(0));
  const PortIndex to = segment_->owner_of(index);
  PortRecord& owner = segment_->port(to);
  PrefetchForWrite(&owner.hot);
  const uint16_t op = slot.op.Load();
  const int64_t submitted = slot.submitted_ns.Load();
  const int64_t accepted = NsAfter(submitted, int64_t{slot.accepted_after.Load()} * kStampUnitNs);
  const int64_t now = StampNowNs();
  slot.code.Store(static_cast<uint8_t>(code));
  slot.result.Store(result);
  slot.answered_after.Store(StampAfter(submitted, now));
  slot.StoreWord({SlotState::kAnswered, index_, word.sequence});
  if (!HotLine::PostExpress(owner.hot.express_answer, index - segment_->first_slot(to) + 1ull)) {
    PostAnswer(*segment_, index);
  }
  Ring(to);
  // Nobody waits for this.
  metrics_->served.Finished(op, code != Code::kOk, NsBetween(accepted, now));
  --accepted_;
}

std::vector<Request> Port::Replay() {
  std::vector<Request> out;
  for (SlotIndex i = 0; i < segment_->slot_count(); ++i) {
    SlotRecord& slot = segment_->slot(i);
    const SlotWord word = slot.LoadWord();
    if (word.holder != index_) continue;
    const auto number = static_cast<uint16_t>(i % segment_->geometry().slots_per_port);
    if (word.state == SlotState::kSubmitted) {
      from_ = segment_->owner_of(i);
      if (auto request = TryAccept(number)) out.push_back(std::move(*request));
    } else if (word.state == SlotState::kAccepted) {
      slot.flags.Store(slot.flags.Load() | kFlagReplayed);
      metrics_->served.Started(slot.op.Load(), slot.buffer_length.Load());
      ++accepted_;
      out.emplace_back(this, &slot, number, Request::Role::kReceiver);
    }
  }
  return out;
}

bool Port::HasWork() {
  express_.Settle();
  return reader_.has_taken() || senders_ != 0 || sender_.HasAnswers() || record_->hot.HasAny();
}

bool Port::Wait(AdaptiveSpin& spin, int64_t timeout_ns) {
  if (HasWork()) return true;
  return WaitOnFutex(record_->hot, spin, timeout_ns);
}

bool Port::PrepareSleep() {
  if (HasWork() || !AnnounceSleep(record_->hot, Sleep::kEvent)) return false;
  metrics_->sleeps.Add(1);
  return true;
}

void Port::DropPrepared(unsigned number) { sender_.Drop(number); }

void Port::DropAccepted(SlotRecord& slot) {
  if (!vanished_) Answer(slot, Code::kCancelled, 0);
}

}  // namespace atl
