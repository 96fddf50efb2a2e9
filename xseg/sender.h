// SPDX-License-Identifier: Apache-2.0
//
// The sending half of a port, and all of a client: a range of request slots, their free list, the
// buffers that go with them, and the mailbox by which answers return.
//
// Which slots are free is this process's private knowledge; the segment holds only their states.
//
// Threads: the port's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "xseg/doorbell.h"
#include "xseg/mailbox.h"
#include "xseg/metrics.h"
#include "xseg/request.h"
#include "xseg/slot.h"

namespace atl {

inline constexpr unsigned kBitOfWord = ~0u;

// Where a request goes.
struct Route {
  PortIndex holder;
  Mailbox* box;
  HotLine* to;
  unsigned summary_bit;  // Of `to`; kBitOfWord: the number of the word in `box`.
  // What the express word says of the sender's first slot; 0: the receiver has no such word.
  uint64_t express_from = 0;
};

class Sender {
 public:
  // Slots that are not free (a predecessor's) are left alone. `answers` and `hot` are the mailbox
  // and the hot line of this side. `metrics` may be null.
  Sender(std::span<SlotRecord> slots, Mailbox* answers, HotLine* hot, PortTraffic* metrics);
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  std::optional<Request> Prepare(RequestHome* home, uint16_t op);
  // It is in the receiver's mailbox afterwards; to ring its bell is the caller's.
  void Submit(Request&& request, const Route& route);
  std::optional<Request> Collect(RequestHome* home);
  // What was collected is taken out of the express word.
  void Settle() { express_.Settle(); }
  // Something may be there to collect.
  bool HasAnswers() {
    express_.Settle();
    return reader_.has_taken() || hot_->answers.load() != 0 || hot_->express_answer.load() != 0;
  }

  void Drop(unsigned number);
  SharedBuffer& BufferOf(unsigned number) { return buffers_[number]; }
  // Slots that are out: prepared, submitted or answered and not yet dropped.
  unsigned used() const { return used_; }
  unsigned capacity() const { return static_cast<unsigned>(slots_.size()); }

 private:
  std::optional<Request> TryCollect(RequestHome* home, unsigned number);

  std::span<SlotRecord> slots_;
  HotLine* hot_;
  PortTraffic* metrics_;
  MailboxReader reader_;
  ExpressReader express_;
  std::array<uint64_t, kMailboxWords> free_{};
  unsigned used_ = 0;
  std::vector<SharedBuffer> buffers_;
};

}  // namespace atl
