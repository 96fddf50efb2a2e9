// SPDX-License-Identifier: Apache-2.0
#include "peers/client/frame.h"

#include <fmt/format.h>

#include <utility>

namespace atl {

Result<FrameHeader> ParseFrameHeader(const std::array<std::byte, kFrameHeaderBytes>& bytes,
                                     FrameKind expected) {
  Decoder in(bytes);
  FrameHeader header;
  header.body_bytes = in.Get<uint32_t>();
  header.payload_bytes = in.Get<uint32_t>();
  header.id = in.Get<uint64_t>();
  header.op = static_cast<Op>(in.Get<uint16_t>());
  const auto version = in.Get<uint8_t>();
  header.kind = static_cast<FrameKind>(in.Get<uint8_t>());
  const auto zero = in.Get<uint32_t>();
  if (header.kind != expected || zero != 0) {
    return Status(Code::kInvalid, "these bytes are no frame of the node's protocol");
  }
  if (version != kFrameVersion) {
    return Status(Code::kUnsupported,
                  fmt::format("protocol version {}; this side speaks {}", version, kFrameVersion));
  }
  const bool request = expected == FrameKind::kRequest;
  if (header.body_bytes > (request ? kMaxRequestBody : kMaxReplyBody) ||
      header.payload_bytes > kMaxFramePayload) {
    return Status(Code::kLimit, fmt::format("a frame with {} and {} bytes is too large",
                                            header.body_bytes, header.payload_bytes));
  }
  return header;
}

Bytes MakeFrame(FrameHeader header, ConstSpan body) {
  Encoder out;
  out.Put(static_cast<uint32_t>(body.size()));
  out.Put(header.payload_bytes);
  out.Put(header.id);
  out.Put(static_cast<uint16_t>(header.op));
  out.Put(kFrameVersion);
  out.Put(static_cast<uint8_t>(header.kind));
  out.Put(uint32_t{0});
  out.Raw(body);
  return out.Take();
}

Bytes MakeReplyBody(const Status& status) {
  Encoder out;
  EncodeTo(&out, status.code());
  EncodeTo(&out, std::string(status.message()));
  return out.Take();
}

Status TakeOutcome(ConstSpan* body) {
  Decoder in(*body);
  WireReader reader(&in);
  Code code{};
  std::string message;
  reader(code, message);
  if (!in.ok()) return {Code::kInvalid, "a malformed answer"};
  *body = body->last(in.remaining());
  if (code == Code::kOk) return {};
  return {code, std::move(message)};
}

}  // namespace atl
