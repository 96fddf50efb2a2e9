// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdbare/greeting.h"

#include <string_view>

#include "bench/nbdbare/socket.h"
#include "kernel/nbd/protocol.h"
#include "kernel/nbd/wire.h"
#include "xseg/base/units.h"

namespace atl::nbdbare {
namespace {

constexpr uint32_t kMaxOptionBytes = 8 * kKiB;
constexpr uint16_t kFlags = nbd::kHasFlags | nbd::kSendFlush | nbd::kSendFua;

Status Reply(int socket, uint32_t option, uint32_t type, ConstSpan body = {}) {
  Bytes out;
  nbd::PutBe(out, nbd::kOptionReplyMagic);
  nbd::PutBe(out, option);
  nbd::PutBe(out, type);
  nbd::PutBe(out, static_cast<uint32_t>(body.size()));
  out.insert(out.end(), body.begin(), body.end());
  return SendAll(socket, out);
}

Status TellExport(int socket, uint32_t option, uint64_t bytes) {
  Bytes info;
  nbd::PutBe(info, static_cast<uint16_t>(nbd::kInfoExport));
  nbd::PutBe(info, bytes);
  nbd::PutBe(info, kFlags);
  RETURN_IF_ERROR(Reply(socket, option, nbd::kRepInfo, info));
  return Reply(socket, option, nbd::kRepAck);
}

Status SayHello(int socket) {
  Bytes hello;
  nbd::PutBe(hello, nbd::kNbdMagic);
  nbd::PutBe(hello, nbd::kOptionMagic);
  nbd::PutBe(hello, static_cast<uint16_t>(nbd::kFlagFixedNewstyle | nbd::kFlagNoZeroes));
  RETURN_IF_ERROR(SendAll(socket, hello));
  Bytes flags(4);
  return ReadAll(socket, flags);
}

}  // namespace

Result<bool> Greet(int socket, uint64_t export_bytes) {
  RETURN_IF_ERROR(SayHello(socket));
  for (bool structured = false;;) {
    Bytes head(nbd::kOptionHeaderBytes);
    RETURN_IF_ERROR(ReadAll(socket, head));
    nbd::BeReader in(head);
    const auto magic = in.Get<uint64_t>();
    const auto option = in.Get<uint32_t>();
    const auto length = in.Get<uint32_t>();
    if (magic != nbd::kOptionMagic || length > kMaxOptionBytes) {
      return Status(Code::kInvalid, "that is no option of NBD");
    }
    Bytes body(length);
    RETURN_IF_ERROR(ReadAll(socket, body));
    if (option == nbd::kOptAbort) {
      return Status(Code::kCancelled, "the client has ended the handshake");
    }
    if (option == nbd::kOptGo) {
      RETURN_IF_ERROR(TellExport(socket, option, export_bytes));
      return structured;
    }
    const bool known = option == nbd::kOptStructuredReply;
    structured |= known;
    RETURN_IF_ERROR(Reply(socket, option, known ? nbd::kRepAck : nbd::kRepErrUnsup));
  }
}

}  // namespace atl::nbdbare
