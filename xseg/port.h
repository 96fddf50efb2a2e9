// SPDX-License-Identifier: Apache-2.0
//
// A port: an endpoint of one peer. It owns a range of request slots as a sender, one mailbox for
// each sender that may send to it, a doorbell, a share of the buffer pool, and metrics.
//
//   ASSIGN_OR_RETURN(auto port, Port::Claim(segment.get(), "mapper"));
//   port->Wait(spin, -1);                // A plain thread; an executor has a PortPoller.
//
// What if its process dies now? The record keeps who owned it; the supervisor quarantines the port
// and, when the dead instance's I/O is over, releases it (reclaim.h). Others go on sending to it
// meanwhile. The successor claims the same name and asks for `Replay`.
//
// Threads: everything here is for one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "xseg/base/status.h"
#include "xseg/block_pool.h"
#include "xseg/doorbell.h"
#include "xseg/request.h"
#include "xseg/segment.h"
#include "xseg/sender.h"

namespace atl {

class Port final : public RequestHome {
 public:
  // Takes the vacant port of that name, or else a free one. kExists if somebody has that name now,
  // or if its port is quarantined; kLimit if no port is free.
  static Result<std::unique_ptr<Port>> Claim(Segment* segment, std::string_view name);
  // Closes it. With nothing of it out the port is given back; else it stays for reclaim, as if the
  // process had died.
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // The port that has this name: active, quarantined or vacant. kNotFound if there is none.
  static Result<PortIndex> Find(const Segment& segment, std::string_view name);

  PortIndex index() const { return index_; }
  uint32_t incarnation() const { return incarnation_; }
  Segment& segment() const { return *segment_; }
  BlockPool& buffers() { return buffers_; }

  // --- As a sender.
  // Nothing if all slots are out; collect and drop some first.
  std::optional<Request> Prepare(uint16_t op);
  // Cannot fail. The answer comes through Collect.
  void Submit(Request&& request, PortIndex to);
  // The next request that was answered, in no particular order.
  std::optional<Request> Collect() { return sender_.Collect(this); }

  // --- As a receiver.
  // The next request that came in, in no particular order.
  std::optional<Request> Accept();
  void Respond(Request&& request, Code code, int64_t result);
  // Which port sent a request that was accepted here.
  PortIndex SenderOf(const Request& request) const {
    return segment_->owner_of(static_cast<SlotIndex>(request.slot() - &segment_->slot(0)));
  }
  // After a claim, once: what the predecessor had accepted, and what waited for it. They carry
  // kFlagReplayed if it had been accepted before.
  std::vector<Request> Replay();

  // --- Ringing. A submit or an answer rings its receiver, if that sleeps, at once; or, after
  // DeferRings, when this side says so: many at a time then cost one waking, and a receiver on the
  // same CPU does not take it away at the first of them. Whoever defers rings before it waits for
  // anything. If it dies before, reclaim rings everybody.
  void DeferRings() { defers_ = true; }
  void RingDeferred();

  // --- Waiting.
  // Something may be there to accept or to collect.
  bool HasWork();
  // For plain threads: spins up to `spin.budget_ns()`, then sleeps up to `timeout_ns` (negative: no
  // limit). True if there is something.
  bool Wait(AdaptiveSpin& spin, int64_t timeout_ns);
  // For executors: see doorbell.h.
  bool PrepareSleep();
  void Woken() { AnnounceAwake(record_->hot); }
  int doorbell_fd() const { return segment_->doorbell_fd(index_); }

  // For tests: ends this object as kill -9 would, leaving everything as it stands. What its owner
  // answers from now on is not sent.
  void Vanish() { vanished_ = true; }

 private:
  Port(Segment* segment, PortIndex index, uint32_t incarnation);
  void DropPrepared(unsigned number) override;
  void DropAccepted(SlotRecord& slot) override;
  SharedBuffer& BufferOf(unsigned number) override { return sender_.BufferOf(number); }

  uint64_t TakeArrivals();
  std::optional<Request> AcceptExpress();
  std::optional<Request> TryAccept(unsigned number);
  void Answer(SlotRecord& slot, Code code, int64_t result);
  void Ring(PortIndex port);
  void Close();
  void LeaveBuffers();

  Segment* segment_;
  PortIndex index_;
  uint32_t incarnation_;
  PortRecord* record_;
  PortMetrics* metrics_;
  BlockPool buffers_;  // Outlives the sender, which holds buffers.
  Sender sender_;
  uint64_t senders_ = 0;  // Bits of arrivals that were taken and not yet looked at.
  PortIndex from_ = 0;    // The sender that `reader_` reads.
  MailboxReader reader_{nullptr};
  ExpressReader express_;
  unsigned accepted_ = 0;
  bool defers_ = false;
  uint64_t to_ring_ = 0;  // A bit for each port.
  bool vanished_ = false;
};

}  // namespace atl
