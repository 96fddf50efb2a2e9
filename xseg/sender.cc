// SPDX-License-Identifier: Apache-2.0
#include "xseg/sender.h"

#include <utility>

#include "xseg/base/stamp_clock.h"
#include "xseg/stamps.h"

namespace atl {

Sender::Sender(std::span<SlotRecord> slots, Mailbox* answers, HotLine* hot, PortTraffic* metrics)
    : slots_(slots),
      hot_(hot),
      metrics_(metrics),
      reader_(answers),
      express_(&hot->express_answer),
      buffers_(slots.size()) {
  CHECK(slots.size() <= kMaxSlotsPerPort);
  for (unsigned i = 0; i < slots.size(); ++i) {
    if (slots[i].LoadWord().state == SlotState::kFree) {
      free_[i / 64] |= 1ull << (i % 64);
    } else {
      ++used_;
    }
  }
}

std::optional<Request> Sender::Prepare(RequestHome* home, uint16_t op) {
  for (unsigned word = 0; word < kMailboxWords; ++word) {
    if (free_[word] == 0) continue;
    const unsigned number = word * 64 + TakeLowestBit(&free_[word]);
    ++used_;
    SlotRecord& slot = slots_[number];
    const SlotWord before = slot.LoadWord();
    slot.StoreWord({SlotState::kPrepared, kNoPort, before.sequence + 1});
    slot.trace.Store(0);
    slot.op.Store(op);
    slot.flags.Store(0);
    slot.argument_bytes.Store(0);
    slot.buffer_length.Store(0);
    slot.buffer_offset.Store(0);
    return Request(home, &slot, static_cast<uint16_t>(number), Request::Role::kSender);
  }
  return std::nullopt;
}

void Sender::Submit(Request&& request, const Route& route) {
  CHECK(request.valid() && request.role() == Request::Role::kSender);
  const unsigned number = request.number();
  SlotRecord& slot = *request.Release();
  PrefetchForWrite(route.to);
  const SlotWord before = slot.LoadWord();
  CHECK(before.state == SlotState::kPrepared) << "submitting a request that is not prepared";
  slot.submitted_ns.Store(StampNowNs());
  slot.accepted_after.Store(0);
  slot.answered_after.Store(0);
  const uint16_t op = slot.op.Load();
  const uint32_t bytes = slot.buffer_length.Load();
  slot.StoreWord({SlotState::kSubmitted, route.holder, before.sequence});
  if (route.express_from == 0 ||
      !HotLine::PostExpress(route.to->express_request, route.express_from + number)) {
    route.box->Post(number);
    route.to->RaiseArrival(route.summary_bit == kBitOfWord ? number / 64 : route.summary_bit);
  }
  // The receiver does not wait for this.
  if (metrics_ != nullptr) metrics_->Started(op, bytes);
}

std::optional<Request> Sender::Collect(RequestHome* home) {
  if (!reader_.has_taken()) {
    if (const auto number = express_.Next(); number && *number < slots_.size()) {
      if (auto request = TryCollect(home, static_cast<unsigned>(*number))) return request;
    }
    if (hot_->answers.load(std::memory_order_relaxed) != 0) PrefetchForWrite(reader_.box());
    reader_.Look(hot_->TakeAnswers());
  }
  for (int number = reader_.Next(); number >= 0; number = reader_.Next()) {
    if (static_cast<unsigned>(number) >= slots_.size()) continue;
    if (auto request = TryCollect(home, static_cast<unsigned>(number))) return request;
  }
  return std::nullopt;
}

std::optional<Request> Sender::TryCollect(RequestHome* home, unsigned number) {
  SlotRecord& slot = slots_[number];
  PrefetchForWrite(&slot);
  const int64_t now = StampNowNs();  // While the slot is on its way.
  const SlotWord word = slot.LoadWord();
  if (word.state != SlotState::kAnswered) return std::nullopt;  // A stale bit.
  // From here on it is this side's again; the next answer bit for it is stale too.
  slot.StoreWord({SlotState::kPrepared, kNoPort, word.sequence});
  if (metrics_ != nullptr) {
    metrics_->Finished(slot.op.Load(), slot.code.Load() != 0,
                       NsBetween(slot.submitted_ns.Load(), now));
  }
  return Request(home, &slot, static_cast<uint16_t>(number), Request::Role::kSender);
}

void Sender::Drop(unsigned number) {
  buffers_[number].Free();
  SlotRecord& slot = slots_[number];
  slot.StoreWord({SlotState::kFree, kNoPort, slot.LoadWord().sequence});
  free_[number / 64] |= 1ull << (number % 64);
  --used_;
}

}  // namespace atl
