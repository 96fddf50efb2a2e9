// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/session.h"

#include <algorithm>
#include <cstring>

namespace atl::nbd {
namespace {

// Buffer bytes that a request keeps until its reply is sent.
uint64_t CostOf(const Request& request) {
  return request.type == kCmdRead || request.type == kCmdWrite ? request.length : 0;
}

}  // namespace

Session::Session(const Parts& parts)
    : parts_(parts),
      pool_(&parts.device->buffers(), parts.watch),
      service_(parts.device, &pool_, parts.negotiated, parts.detect_zeroes) {}

Task<void> Session::Run() {
  Spawn(Send());
  co_await Receive();
  receiving_ = false;
  to_send_.Wake();
  while (sending_) co_await send_ended_;
}

Task<void> Session::Receive() {
  bool looked = false;  // How large the export is now.
  while (!stopping_) {
    ExportView view = service_.view();
    view.size_may_be_old = !looked;
    const RequestReader::Step step = reader_.Next(parts_.in->view(), view);
    parts_.in->Consume(step.consumed);
    looked = step.kind == RequestReader::Step::kBeyond;
    switch (step.kind) {
      case RequestReader::Step::kBeyond:
        (void)co_await parts_.device->Refresh();
        continue;
      case RequestReader::Step::kMore:
        if (!co_await Fill()) co_return;
        continue;
      case RequestReader::Step::kDisconnect:
        co_return;
      case RequestReader::Step::kNonsense:
        broken_ = true;
        co_return;
      case RequestReader::Step::kExecute:
      case RequestReader::Step::kRefuse:
        break;
    }
    const bool refused = step.kind == RequestReader::Step::kRefuse;
    const uint64_t cost = refused ? 0 : CostOf(step.request);
    while (!HasRoom(cost)) co_await room_;
    if (stopping_) co_return;
    Slot* slot = TakeSlot(step.request, cost);
    if (refused) {
      service_.Refuse(slot, step.refusal.error, step.refusal.text);
      Finish(slot, step.refusal.error);
      continue;
    }
    if (step.request.type == kCmdWrite) {
      if (!co_await ReceivePayload(slot, step.payload)) {
        ReturnSlot(slot);
        co_return;
      }
      slot->started_ns = parts_.executor->BootNs();
    }
    Spawn(Execute(slot));
  }
}

Task<bool> Session::Fill() {
  const MutSpan room = parts_.in->Room();
  CHECK(!room.empty());
  const int got = co_await parts_.executor->ring().Recv(parts_.socket, room);
  if (got <= 0) {
    // The other side may have closed only its own half; what it asked for is still sent.
    if (got < 0) broken_ = true;
    co_return false;
  }
  parts_.in->Filled(static_cast<size_t>(got));
  moved_bytes_ += static_cast<uint64_t>(got);
  co_return true;
}

Task<bool> Session::ReceivePayload(Slot* slot, ConstSpan first) {
  slot->buffer = co_await pool_.Get(slot->request.length);
  MutSpan rest = slot->buffer.span();
  if (!first.empty()) std::memcpy(rest.data(), first.data(), first.size());
  rest = rest.subspan(first.size());
  if (rest.empty()) co_return true;
  payload_stall_ns_ = parts_.executor->BootNs();
  while (!rest.empty() && !stopping_) {
    const int got = co_await parts_.executor->ring().Recv(parts_.socket, rest);
    if (got <= 0) break;
    moved_bytes_ += static_cast<uint64_t>(got);
    rest = rest.subspan(static_cast<size_t>(got));
  }
  payload_stall_ns_ = 0;
  co_return rest.empty();
}

Task<void> Session::Execute(Slot* slot) {
  const Error error = co_await service_.Execute(slot);
  // A write's bytes are not needed for its reply.
  if (slot->request.type == kCmdWrite) slot->buffer = {};
  Finish(slot, error);
}

void Session::Finish(Slot* slot, Error error) {
  const int64_t took_ns = parts_.executor->BootNs() - slot->started_ns;
  parts_.stats->Count(slot->request.type, slot->request.length, error != kOk, took_ns);
  queue_.Push(slot);
  to_send_.Wake();
}

Task<void> Session::Send() {
  const auto give_back = [this](Reply* reply) { ReturnSlot(static_cast<Slot*>(reply)); };
  while (receiving_ || in_flight_ > 0) {
    if (queue_.empty()) {
      send_stall_ns_ = 0;
      co_await to_send_;
      continue;
    }
    if (broken_) {
      queue_.Drop(give_back);
      continue;
    }
    if (send_stall_ns_ == 0) send_stall_ns_ = parts_.executor->BootNs();
    msghdr message{};
    message.msg_iov = pieces_.data();
    message.msg_iovlen = queue_.Gather(pieces_);
    const int sent = co_await parts_.executor->ring().SendMsg(parts_.socket, &message);
    if (sent <= 0) {
      broken_ = true;
      continue;
    }
    moved_bytes_ += static_cast<uint64_t>(sent);
    queue_.Advance(static_cast<size_t>(sent), give_back);
  }
  sending_ = false;
  send_ended_.Wake();
}

bool Session::HasRoom(uint64_t cost) const {
  if (in_flight_ >= parts_.limits.max_in_flight) return false;
  return held_bytes_ == 0 || held_bytes_ + cost <= parts_.limits.max_in_flight_bytes;
}

Session::Slot* Session::TakeSlot(const Request& request, uint64_t cost) {
  if (free_.empty()) {
    slots_.push_back(std::make_unique<Slot>());
    free_.push_back(slots_.back().get());
  }
  Slot* slot = free_.back();
  free_.pop_back();
  slot->request = request;
  slot->cost = cost;
  slot->started_ns = parts_.executor->BootNs();
  held_bytes_ += cost;
  ++in_flight_;
  ++parts_.stats->in_flight;
  return slot;
}

void Session::ReturnSlot(Slot* slot) {
  slot->buffer = {};
  slot->Clear();
  held_bytes_ -= slot->cost;
  --in_flight_;
  --parts_.stats->in_flight;
  free_.push_back(slot);
  room_.Wake();
  // The last one lets the sender end.
  if (!receiving_ && in_flight_ == 0) to_send_.Wake();
}

BufferHolder::State Session::buffer_state() const {
  int64_t since_ns = send_stall_ns_;
  if (since_ns == 0 || (payload_stall_ns_ != 0 && payload_stall_ns_ < since_ns)) {
    since_ns = payload_stall_ns_;
  }
  return {.pool = pool_.pool(),
          .waits = pool_.waits(),
          .held_bytes = held_bytes_,
          .moved_bytes = moved_bytes_,
          .stalled_since_ns = since_ns};
}

}  // namespace atl::nbd
