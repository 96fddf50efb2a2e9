// SPDX-License-Identifier: Apache-2.0
//
// The server's side of one outside client. It copies each request once into a table of its own,
// judges the copy, and never reads the client's slot again. The client may write whatever it likes
// whenever it likes: what comes of it is a request that makes sense, or a Status from Poll, after
// which the server ends the session; nobody else is touched.
//
//   ASSIGN_OR_RETURN(auto session, ClientSession::Create({.max_op = kLastOp}));
//   RETURN_IF_ERROR(session->Offer(socket));
//   ... session->Poll([&](ClientRequest request) { ... session->Respond(...); });
//
// A request's arguments are the copy. Its buffer is the client's memory and may change at any time,
// also while it is used: whoever hashes, checks or parses those bytes copies them first.
//
// Threads: one. It may end only when none of its requests is in service.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/buffer_ref.h"
#include "xseg/client_segment.h"
#include "xseg/descriptor_passing.h"
#include "xseg/metrics.h"

namespace atl {

class ClientSession;

// Move-only token over a request of a client; dropped, it is answered with kCancelled.
class [[nodiscard]] ClientRequest {
 public:
  ClientRequest(ClientRequest&& other) noexcept
      : session_(std::exchange(other.session_, nullptr)), number_(other.number_) {}
  ClientRequest& operator=(ClientRequest&&) = delete;
  ~ClientRequest();

  uint16_t op() const;
  uint16_t flags() const;
  uint64_t trace() const;
  ConstSpan arguments() const;
  // The client's memory, possibly empty.
  MutSpan buffer() const;

 private:
  friend class ClientSession;
  ClientRequest(ClientSession* session, uint16_t number) : session_(session), number_(number) {}
  ClientSession* session_;
  uint16_t number_;
};

class ClientSession {
 public:
  struct Options {
    ClientGeometry geometry = {};
    uint16_t max_op = 0xFFFF;                     // A larger op is misbehaviour.
    uint64_t max_buffer_bytes = kMaxBufferBytes;  // Of one request.
    PortTraffic* metrics = nullptr;               // Of the port that serves it; may be null.
  };
  using OnRequest = std::function<void(ClientRequest)>;

  static Result<std::unique_ptr<ClientSession>> Create(const Options& options);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // Hands the segment and the client's end of the bell over a connected Unix socket, once.
  Status Offer(int socket);
  // Who took the offer.
  const PeerCredentials& peer() const { return peer_; }

  // Takes what came in. Not ok: the client misbehaves (kInvalid) or has ended (kUnavailable), and
  // every later call says the same. `*any` tells if there was anything.
  Status Poll(const OnRequest& on_request, bool* any);
  // `answer` goes over the arguments; at most kInlineArgumentBytes.
  void Respond(ClientRequest&& request, Code code, int64_t result, ConstSpan answer = {});
  unsigned in_service() const { return in_service_; }

  bool PrepareSleep();
  void Woken();
  // The bell's other end was closed, as far as somebody who watches it has heard: the next Poll
  // looks. Without being told Poll finds out by itself, but only after many.
  void HungUp();
  int doorbell_fd() const { return bell_.get(); }

 private:
  friend class ClientRequest;
  // The server's copy of a slot.
  struct Copy {
    bool in_service = false;
    uint16_t op = 0;
    uint16_t flags = 0;
    uint16_t argument_bytes = 0;
    uint32_t sequence = 0;
    uint64_t trace = 0;
    BufferRef buffer;
    int64_t submitted_ns = 0;
    int64_t accepted_ns = 0;
    std::array<uint64_t, kInlineArgumentBytes / 8> arguments;
  };
  explicit ClientSession(const Options& options) : options_(options) {}
  Status TakeWord(unsigned word, const OnRequest& on_request, bool* any);
  Status TakeSlot(unsigned number);
  Status Judge(const SlotRecord& slot, Copy* copy) const;
  void CopyArguments(const SlotRecord& slot, Copy* copy) const;
  void Answer(unsigned number, Code code, int64_t result, ConstSpan answer);
  Status LookAtBell();

  Options options_;
  std::unique_ptr<ClientSegment> segment_;
  Fd bell_;
  Fd client_bell_;  // Until it is handed over.
  PeerCredentials peer_;
  std::vector<Copy> table_;
  unsigned in_service_ = 0;
  unsigned empty_looks_ = 0;
  unsigned quiet_polls_ = 0;  // Since somebody looked whether the client is there.
  Status broken_;
};

}  // namespace atl
