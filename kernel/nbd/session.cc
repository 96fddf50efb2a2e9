// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/session.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "xseg/base/guarded_copy.h"

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
      service_(parts.device, &pool_, parts.negotiated, parts.detect_zeroes),
      received_ns_(parts.executor->StampNs()) {}

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
        Settle();
        (void)co_await parts_.device->Refresh();
        continue;
      case RequestReader::Step::kMore:
        Settle();
        if (!co_await Fill()) co_return;
        continue;
      case RequestReader::Step::kDisconnect:
        Settle();
        co_return;
      case RequestReader::Step::kNonsense:
        Settle();
        broken_ = true;
        co_return;
      case RequestReader::Step::kExecute:
        if (!ServeAtOnce(step)) break;
        if (IsTurnOver(step.request.length + kTurnBytesOfRequest)) {
          Settle();
          co_await Yield{};
        }
        continue;
      case RequestReader::Step::kRefuse:
        break;
    }
    Settle();
    if (!co_await Begin(step)) co_return;
  }
  Settle();
}

Task<bool> Session::Begin(const RequestReader::Step& step) {
  const bool refused = step.kind == RequestReader::Step::kRefuse;
  const uint64_t cost = refused ? 0 : CostOf(step.request);
  while (!HasRoom(cost) || !portions_.HasRoom(executing_)) co_await room_;
  if (stopping_) co_return false;
  Slot* slot = TakeSlot(step.request, cost);
  if (refused) {
    service_.Refuse(slot, step.refusal.error, step.refusal.text);
    Finish(slot, step.refusal.error);
    co_return true;
  }
  if (step.request.type == kCmdWrite) {
    if (!co_await ReceivePayload(slot, step.payload)) {
      ReturnSlot(slot);
      co_return false;
    }
    slot->started_ns = parts_.executor->StampNs();
  }
  Execute(slot);
  co_return true;
}

// Reads, and writes whose payload is here, if the device can do them now.
bool Session::ServeAtOnce(const RequestReader::Step& step) {
  const Request& request = step.request;
  const bool writes = request.type == kCmdWrite;
  if (request.length == 0 || (!writes && request.type != kCmdRead)) return false;
  if (writes && step.payload.size() != request.length) return false;
  if (broken_ || !HasRoom(request.length) || !IsWorthTrying()) return false;
  if (writes && views_ > 0) Settle();
  Slot* slot = TakeSlot(request, request.length);
  const DeviceWriteOptions options{.fua = request.has(kCmdFlagFua),
                                   .detect_zeroes = parts_.detect_zeroes};
  if (!(writes ? parts_.device->TryWrite(request.offset, step.payload, options)
               : ReadAtOnce(slot))) {
    ReturnSlot(slot);
    ++misses_;
    return false;
  }
  misses_ = 0;
  if (writes) service_.AnswerDone(slot);
  if (!slot->is_viewed()) Count(slot, kOk);
  queue_.Push(slot);
  return true;
}

// Some devices never do anything at once, and others not while something is going on.
bool Session::IsWorthTrying() {
  constexpr uint32_t kFewMisses = 32, kTryEach = 64;
  if (misses_ < kFewMisses || misses_ % kTryEach == 0) return true;
  ++misses_;
  return false;
}

// Others are served, too, however much a client asks for at once.
bool Session::IsTurnOver(uint64_t bytes) {
  turn_bytes_ += bytes;
  if (turn_bytes_ < kTurnBytes) return false;
  turn_bytes_ = 0;
  return true;
}

bool Session::ReadAtOnce(Slot* slot) {
  const Request& request = slot->request;
  // What the sender has to wait for the socket with is no longer of now.
  if (service_.AsksForHoles(request)) return false;
  const bool may_view = !in_kernel_ && request.length <= parts_.limits.max_view &&
                        viewed_bytes_ + request.length <= parts_.limits.max_viewed_bytes;
  const ConstSpan view =
      may_view ? parts_.device->TryView(request.offset, request.length) : ConstSpan();
  if (!view.empty()) {
    service_.AnswerRead(slot, view);
    slot->view = view;
    ++views_;
    viewed_bytes_ += request.length;
    return true;
  }
  if (request.length > kMostReadAtOnce) return false;
  slot->buffer = pool_.TryGet(request.length);
  if (!slot->buffer || !parts_.device->TryRead(request.offset, slot->buffer.span())) return false;
  service_.AnswerRead(slot, slot->buffer.span());
  return true;
}

// Waits as long as Pace says, without the socket's help; 0 or less as of ReceiveNow. Not while
// requests are with others, who may need this CPU.
Task<int> Session::ReceiveSoon() {
  int got = ReceiveNow();
  if (got != kNothingYet || in_flight_ > 0) co_return got;
  if (pace_.pause_ns() > 0) {
    co_await parts_.executor->Sleep(pace_.pause_ns());
    got = ReceiveNow();
  }
  const int64_t spins_until_ns = parts_.executor->StampNs() + pace_.spin_ns();
  while (got == kNothingYet && pace_.spin_ns() > 0 && !stopping_) {
    co_await Yield{};
    got = ReceiveNow();
    if (got != kNothingYet || parts_.executor->StampNs() > spins_until_ns) {
      pace_.OnSpin(got != kNothingYet);
      break;
    }
  }
  co_return got;
}

// Until the socket rings; awake for some of the time, once there is nothing else to do.
Task<int> Session::ReceiveLate() {
  const MutSpan room = parts_.in->Room();
  CHECK(!room.empty());
  waits_late_ = true;
  nothing_since_ns_ = in_flight_ == 0 ? parts_.executor->StampNs() : 0;
  const int got = co_await parts_.executor->ring().Recv(parts_.socket, room);
  waits_late_ = false;
  if (got > 0) Received(got);
  if (nothing_since_ns_ != 0) {
    const int64_t waited_ns = received_ns_ - nothing_since_ns_;
    if (std::exchange(lingered_, false)) pace_.OnSpin(waited_ns <= pace_.spin_ns());
    pace_.OnSleep(waited_ns);
  }
  co_return got;
}

Task<bool> Session::Fill() {
  turn_bytes_ = 0;
  co_await Yield{};
  int got = co_await ReceiveSoon();
  if (got == kNothingYet) got = co_await ReceiveLate();
  // The other side may have closed only its own half; what it asked for is still sent.
  if (got < 0) broken_ = true;
  co_return got > 0;
}

int Session::ReceiveNow() {
  const MutSpan room = parts_.in->Room();
  CHECK(!room.empty());
  while (true) {
    const ssize_t got = recv(parts_.socket, room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) Received(static_cast<int>(got));
    if (got >= 0) return static_cast<int>(got);
    if (errno != EINTR) return errno == EAGAIN ? kNothingYet : -errno;
  }
}

void Session::Received(int bytes) {
  received_ns_ = parts_.executor->StampNs();
  parts_.in->Filled(static_cast<size_t>(bytes));
  moved_bytes_ += static_cast<uint64_t>(bytes);
}

Task<bool> Session::ReceivePayload(Slot* slot, ConstSpan first) {
  slot->buffer = co_await pool_.Get(slot->request.length);
  MutSpan rest = slot->buffer.span();
  if (!first.empty()) std::memcpy(rest.data(), first.data(), first.size());
  rest = rest.subspan(first.size());
  if (rest.empty()) co_return true;
  payload_stall_ns_ = parts_.executor->StampNs();
  while (!rest.empty() && !stopping_) {
    auto got = static_cast<int>(recv(parts_.socket, rest.data(), rest.size(), MSG_DONTWAIT));
    if (got < 0) got = co_await parts_.executor->ring().Recv(parts_.socket, rest);
    if (got <= 0) break;
    moved_bytes_ += static_cast<uint64_t>(got);
    rest = rest.subspan(static_cast<size_t>(got));
    if (IsTurnOver(static_cast<uint64_t>(got))) co_await Yield{};
  }
  payload_stall_ns_ = 0;
  co_return rest.empty();
}

void Session::Execute(Slot* slot) {
  if (executing_++ == 0) portion_began_ns_ = parts_.executor->StampNs();
  Spawn(Serve(slot));
}

Task<void> Session::Serve(Slot* slot) {
  const Error error = co_await service_.Execute(slot);
  // A write's bytes are not needed for its reply.
  if (slot->request.type == kCmdWrite) slot->buffer = {};
  --executing_;
  ++came_back_;
  Finish(slot, error);
  // The next portion does not wait for the socket: the client may read only once it has sent all.
  if (executing_ == 0) room_.Wake();
}

void Session::Count(const Slot* slot, Error error) {
  const int64_t took_ns = parts_.executor->StampNs() - slot->started_ns;
  parts_.stats->Count(slot->request.type, slot->request.length, error != kOk, took_ns);
}

void Session::Finish(Slot* slot, Error error) {
  Count(slot, error);
  queue_.Push(slot);
  to_send_.Wake();
}

void Session::Settle() {
  if (!queue_.empty() && pace_.WantsLook()) pace_.OnLook(HasUnreadReplies());
  SendNow();
  if (views_ > 0 && !broken_) CopyViews();
  if (!queue_.empty()) to_send_.Wake();
}

void Session::CopyViews() {
  std::vector<Slot*> left;
  queue_.ForEach([&left](Reply* reply) {
    auto* slot = static_cast<Slot*>(reply);
    if (slot->is_viewed()) left.push_back(slot);
  });
  for (Slot* slot : left) CopyView(slot);
}

void Session::Unview(Slot* slot) {
  if (std::exchange(slot->view, {}).empty()) return;
  --views_;
  viewed_bytes_ -= slot->request.length;
}

// Nobody waits for room in the pool: those who hold it may wait for this reply. Then there is
// memory of its own, as much as a turn may view.
void Session::CopyView(Slot* slot) {
  const ConstSpan view = slot->view;
  Unview(slot);
  slot->buffer = pool_.TryGet(view.size());
  if (!slot->buffer) slot->copy.resize(view.size());
  const MutSpan copy = slot->buffer ? slot->buffer.span() : MutSpan(slot->copy);
  if (CopyGuarded(copy, view) || parts_.device->TryRead(slot->request.offset, copy)) {
    slot->ReplaceData(copy);
    Count(slot, kOk);
  } else if (queue_.HasBegun(slot)) {
    // A success cannot be taken back, and what was there cannot be read any more.
    broken_ = true;
    shutdown(parts_.socket, SHUT_RDWR);
  } else {
    queue_.Remove(slot);
    slot->Clear();
    slot->buffer = {};
    slot->copy = {};
    Execute(slot);
  }
}

// Of a socket that cannot tell: none.
bool Session::HasUnreadReplies() const {
  int bytes = 0;
  return ioctl(parts_.socket, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

void Session::SendNow() {
  uint64_t sent_now = 0;
  while (!in_kernel_ && !broken_ && sent_now < kMostSentAtOnce) {
    msghdr message{};
    message.msg_iov = pieces_.data();
    message.msg_iovlen = queue_.Gather(pieces_);
    if (message.msg_iovlen == 0) return;
    const ssize_t sent = sendmsg(parts_.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      sent_now += static_cast<uint64_t>(sent);
      Sent(static_cast<size_t>(sent));
    } else if (errno != EINTR) {
      // A view of what cannot be read any more: whoever copies it will hear why.
      broken_ = errno != EAGAIN && (errno != EFAULT || views_ == 0);
      return;
    }
  }
}

void Session::Sent(size_t bytes) {
  moved_bytes_ += bytes;
  queue_.Advance(bytes, [this](Reply* reply) {
    auto* slot = static_cast<Slot*>(reply);
    if (slot->is_viewed()) Count(slot, kOk);
    ReturnSlot(slot);
  });
}

Task<void> Session::Send() {
  while (true) {
    if (const uint32_t count = std::exchange(came_back_, 0); count > 0) {
      portions_.OnReplies(count, executing_, parts_.executor->StampNs() - portion_began_ns_);
    }
    SendNow();
    if (!receiving_ && in_flight_ == 0) break;
    if (broken_ && !queue_.empty()) {
      queue_.Drop([this](Reply* reply) { ReturnSlot(static_cast<Slot*>(reply)); });
      continue;
    }
    if (broken_ || queue_.Gather(pieces_) == 0) {
      send_stall_ns_ = 0;
      co_await to_send_;
      continue;
    }
    if (send_stall_ns_ == 0) send_stall_ns_ = parts_.executor->StampNs();
    msghdr message{};
    message.msg_iov = pieces_.data();
    message.msg_iovlen = queue_.Gather(pieces_);
    in_kernel_ = true;
    const int sent = co_await parts_.executor->ring().SendMsg(parts_.socket, &message);
    in_kernel_ = false;
    if (sent > 0) {
      Sent(static_cast<size_t>(sent));
    } else {
      broken_ = true;
    }
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
  slot->started_ns = received_ns_;
  held_bytes_ += cost;
  ++in_flight_;
  parts_.linger->OnBegin();
  ++parts_.stats->in_flight;
  return slot;
}

void Session::ReturnSlot(Slot* slot) {
  Unview(slot);
  slot->copy = {};
  slot->buffer = {};
  slot->Clear();
  held_bytes_ -= slot->cost;
  --in_flight_;
  parts_.linger->OnEnd();
  if (in_flight_ == 0 && waits_late_) {
    nothing_since_ns_ = parts_.executor->StampNs();
    lingered_ = pace_.spin_ns() > 0;
    if (lingered_) parts_.linger->Until(nothing_since_ns_ + pace_.spin_ns());
  }
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
