// SPDX-License-Identifier: Apache-2.0
//
// The server's reading side of the transmission phase ("Request message", "Request types", "Error
// values") without I/O: it cuts a stream of bytes into requests and judges each before anything is
// done for it.
//
// A write's payload follows its request. Up to kSmallPayload it is handed out whole, from the
// caller's own bytes; of a longer one the first part is handed out once kSmallPayload of it has
// come, and the caller reads the rest of it from wherever the bytes come from, straight to where
// they belong. So a client that trickles holds nothing that others need. The payload of a refused
// write is skipped here.
//
// Whoever feeds it keeps at least kRequestBytes + kSmallPayload bytes together.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kernel/nbd/protocol.h"
#include "xseg/base/bytes.h"
#include "xseg/base/units.h"

namespace atl::nbd {

struct Request {
  uint16_t flags = 0;
  uint16_t type = 0;
  uint64_t cookie = 0;
  uint64_t offset = 0;
  uint32_t length = 0;

  bool has(CommandFlag flag) const { return (flags & flag) != 0; }
  ByteRange range() const { return {offset, length}; }
};

// What requests are judged by.
struct ExportView {
  uint64_t size = 0;
  bool size_may_be_old = false;  // The export may have grown since.
  bool read_only = false;
  bool structured = false;
  bool block_status = false;
};

struct Refusal {
  Error error = kOk;
  std::string_view text;
  bool beyond = false;  // The end of the export.
};
// Nothing, if the request may be executed. It never looks at what the export holds.
std::optional<Refusal> Judge(const Request& request, const ExportView& view);

class RequestReader {
 public:
  struct Step {
    enum Kind : uint8_t {
      kMore,     // More bytes, please.
      kExecute,  // `request`, with the first (or all) bytes of a write's payload.
      kRefuse,   // `request` gets `refusal`.
      kBeyond,   // Only if `view.size_may_be_old`: the request lies beyond that size. Nothing was
                 // consumed: call again with the size of now.
      kDisconnect,  // NBD_CMD_DISC.
      kNonsense,    // Not a request: the stream cannot be followed any more.
    };
    Kind kind = kMore;
    size_t consumed = 0;  // Of the bytes given; valid whatever the kind.
    Request request;
    ConstSpan payload;  // Inside of the bytes given.
    Refusal refusal;
  };

  // Call again with what is left behind `consumed` until it says kMore.
  Step Next(ConstSpan in, const ExportView& view);

 private:
  Step Skip(ConstSpan in);
  Step OnWrite(ConstSpan in, const Request& request);

  uint32_t skip_ = 0;  // Payload bytes of the refused write.
  Request refused_;
  Refusal refusal_;
};

}  // namespace atl::nbd
