// SPDX-License-Identifier: Apache-2.0
//
// `Request`: a move-only token over a request slot. Who has the token may use the slot, and nobody
// else has one.
//
//   sender:    auto request = port.Prepare(kOpRead);        // Nothing: no slot is left.
//              port.Submit(std::move(*request), store);     // Consumes it.
//   receiver:  auto request = port.Accept();                // Yields it here.
//              port.Respond(std::move(*request), Code::kOk, count);
//   sender:    auto answer = port.Collect();                // And back, with the answer.
//
// Submit and Respond take a reference and empty the token inside, so that other arguments of the
// same call may still be read from it.
//
// A token that is dropped: at the sender the slot becomes free, and a buffer that it carries with
// it; at the receiver the request is answered with kCancelled. A receiver that ends on purpose and
// wants its successor to take the request calls `Leave`.
//
// Threads: a token stays on the thread of the port that gave it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/block_pool.h"
#include "xseg/buffer_ref.h"
#include "xseg/slot.h"
#include "xseg/stamps.h"

namespace atl {

// Where tokens come from and go to when they are dropped.
class RequestHome {
 public:
  virtual void DropPrepared(unsigned number) = 0;
  virtual void DropAccepted(SlotRecord& slot) = 0;
  // The buffer that goes with a slot of this sender.
  virtual SharedBuffer& BufferOf(unsigned number) = 0;

 protected:
  ~RequestHome() = default;
};

class [[nodiscard]] Request {
 public:
  enum class Role : uint8_t { kSender, kReceiver };

  Request() = default;
  // Only ports make valid ones. `number` is the slot's number among its sender's.
  Request(RequestHome* home, SlotRecord* slot, uint16_t number, Role role)
      : home_(home), slot_(slot), number_(number), role_(role) {}
  Request(Request&& other) noexcept
      : home_(other.home_),
        slot_(std::exchange(other.slot_, nullptr)),
        number_(other.number_),
        role_(other.role_) {}
  Request& operator=(Request&& other) noexcept {
    if (this != &other) {
      Drop();
      home_ = other.home_;
      slot_ = std::exchange(other.slot_, nullptr);
      number_ = other.number_;
      role_ = other.role_;
    }
    return *this;
  }
  ~Request() { Drop(); }

  bool valid() const { return slot_ != nullptr; }
  Role role() const { return role_; }
  unsigned number() const { return number_; }
  // For ports: to know whose it is by its place in the table.
  const SlotRecord* slot() const { return slot_; }

  uint16_t op() const { return slot_->op.Load(); }
  uint64_t trace() const { return slot_->trace.Load(); }
  void set_trace(uint64_t trace) { slot_->trace.Store(trace); }
  uint16_t flags() const { return slot_->flags.Load(); }
  void set_flags(uint16_t flags) { slot_->flags.Store(flags); }
  // An earlier holder died with it, so it may have been carried out already.
  bool is_replayed() const { return (flags() & kFlagReplayed) != 0; }

  // The inline arguments. The receiver may write its answer over them.
  ConstSpan arguments() const {
    const size_t bytes = slot_->argument_bytes.Load();
    return {slot_->arguments, bytes < kInlineArgumentBytes ? bytes : kInlineArgumentBytes};
  }
  // All of the room, and how much of it counts.
  MutSpan argument_room() { return slot_->arguments; }
  void set_argument_bytes(size_t bytes) {
    CHECK(bytes <= kInlineArgumentBytes);
    slot_->argument_bytes.Store(static_cast<uint16_t>(bytes));
  }
  void SetArguments(ConstSpan bytes) {
    set_argument_bytes(bytes.size());
    if (!bytes.empty()) std::memcpy(slot_->arguments, bytes.data(), bytes.size());
  }

  BufferRef buffer() const { return {slot_->buffer_offset.Load(), slot_->buffer_length.Load()}; }
  // Bytes that somebody else owns and keeps until this request is answered.
  void ReferTo(BufferRef ref) {
    slot_->buffer_offset.Store(ref.offset);
    slot_->buffer_length.Store(ref.length);
  }
  // Sender: the request carries the buffer and frees it with itself.
  void Carry(SharedBuffer buffer) {
    ReferTo(buffer.ref());
    home_->BufferOf(number_) = std::move(buffer);
  }
  SharedBuffer TakeBuffer() { return std::move(home_->BufferOf(number_)); }

  // The answer, in a token that Collect gave.
  Code code() const { return static_cast<Code>(slot_->code.Load()); }
  int64_t result() const { return slot_->result.Load(); }

  // CLOCK_BOOTTIME; 0 before that hop.
  int64_t submitted_ns() const { return slot_->submitted_ns.Load(); }
  int64_t accepted_ns() const { return Stamp(slot_->accepted_after.Load()); }
  int64_t answered_ns() const { return Stamp(slot_->answered_after.Load()); }

  // Receiver: the slot stays accepted, for whoever comes after this port.
  void Leave() {
    CHECK(role_ == Role::kReceiver);
    slot_ = nullptr;
  }
  // For ports: the token ends without effect.
  SlotRecord* Release() { return std::exchange(slot_, nullptr); }
  RequestHome* home() const { return home_; }

 private:
  int64_t Stamp(uint32_t after) const {
    return after == 0 ? 0 : NsAfter(submitted_ns(), int64_t{after} * kStampUnitNs);
  }
  void Drop() {
    if (slot_ == nullptr) return;
    SlotRecord* slot = std::exchange(slot_, nullptr);
    if (role_ == Role::kSender) {
      home_->DropPrepared(number_);
    } else {
      home_->DropAccepted(*slot);
    }
  }

  RequestHome* home_ = nullptr;
  SlotRecord* slot_ = nullptr;
  uint16_t number_ = 0;
  Role role_ = Role::kSender;
};

// The value of accepted_after and answered_after: at least 1.
uint32_t StampAfter(int64_t submitted_ns, int64_t now_ns);

}  // namespace atl
