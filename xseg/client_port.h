// SPDX-License-Identifier: Apache-2.0
//
// The client's side of a client segment: prepares requests, submits them to the server, and waits
// for answers. The tokens are those of request.h.
//
//   ASSIGN_OR_RETURN(auto port, ClientPort::Receive(socket));     // After connecting.
//   auto request = port->Prepare(kOpRead);
//   request->Carry(*port->buffers().Allocate(4096));
//   port->Submit(std::move(*request));
//   while (!(answer = port->Collect())) port->Wait(spin, -1);
//
// Threads: one. What if the server dies? `server_gone` says so; nothing is answered any more.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/block_pool.h"
#include "xseg/client_segment.h"
#include "xseg/doorbell.h"
#include "xseg/request.h"
#include "xseg/sender.h"

namespace atl {

class ClientPort final : public RequestHome {
 public:
  // Takes what ClientSession::Offer sends; blocks until it comes.
  static Result<std::unique_ptr<ClientPort>> Receive(int socket);
  ~ClientPort();
  ClientPort(const ClientPort&) = delete;
  ClientPort& operator=(const ClientPort&) = delete;

  BlockPool& buffers() { return *buffers_; }
  unsigned slots() const { return sender_->capacity(); }

  std::optional<Request> Prepare(uint16_t op) { return sender_->Prepare(this, op); }
  void Submit(Request&& request);
  std::optional<Request> Collect() { return sender_->Collect(this); }

  // For plain threads; see Port::Wait.
  bool Wait(AdaptiveSpin& spin, int64_t timeout_ns);
  // For executors (client_poller.h).
  bool PrepareSleep();
  void Woken() { AnnounceAwake(segment_->rings().client); }
  int doorbell_fd() const { return bell_.get(); }

  bool server_gone() const;

  // For tests that misbehave.
  ClientSegment& segment() { return *segment_; }

 private:
  ClientPort() = default;
  void MakePool();
  void DropPrepared(unsigned number) override { sender_->Drop(number); }
  void DropAccepted(SlotRecord&) override {}
  SharedBuffer& BufferOf(unsigned number) override { return sender_->BufferOf(number); }

  std::unique_ptr<ClientSegment> segment_;
  Fd bell_;
  // Block words are nobody's business but the client's own.
  std::array<std::vector<std::atomic<uint32_t>>, kBlockClasses> words_;
  std::array<std::vector<std::atomic<uint64_t>>, kBlockClasses> hints_;
  std::optional<BlockPool> buffers_;
  std::optional<Sender> sender_;
};

}  // namespace atl
