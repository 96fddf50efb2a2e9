// SPDX-License-Identifier: Apache-2.0
//
// What travels over a node's socket: frames in both directions, each a header of 24 bytes, a body
// (the fields of an operation or of its answer, peers/ops.h) and a payload (a device's data).
//
//   offset  size
//        0     4  body_bytes
//        4     4  payload_bytes
//        8     8  id         chosen by the client, not used twice while in flight; 0: see below
//       16     2  op
//       18     1  version    1
//       19     1  kind       1 request, 2 reply
//       20     4  zero
//
// Several requests of one connection are in flight at once and are answered in any order. The body
// of a reply is a code (u8) and a text, and if the code is 0 the fields of the answer. A reply with
// id 0 belongs to no request: it says why the server now closes the connection.
//
// The payload follows the body on the same socket; a segment shared with the client can replace it
// by a reference without a change to bodies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "peers/codec.h"
#include "peers/ops.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kFrameHeaderBytes = 24;
inline constexpr uint8_t kFrameVersion = 1;
inline constexpr uint32_t kMaxRequestBody = 64 * kKiB;
inline constexpr uint32_t kMaxReplyBody = 16 * kMiB;
inline constexpr uint32_t kMaxFramePayload = 4 * kMiB;

enum class FrameKind : uint8_t { kRequest = 1, kReply = 2 };

struct FrameHeader {
  uint32_t body_bytes = 0;
  uint32_t payload_bytes = 0;
  uint64_t id = 0;
  Op op{};
  FrameKind kind = FrameKind::kRequest;
};

// kInvalid if it is no header of this kind, kLimit if it announces too much, kUnsupported for
// another version.
Result<FrameHeader> ParseFrameHeader(const std::array<std::byte, kFrameHeaderBytes>& bytes,
                                     FrameKind expected);

// Header and body in one piece; the payload is sent after it.
Bytes MakeFrame(FrameHeader header, ConstSpan body);

// The body of a reply that carries nothing but its outcome.
Bytes MakeReplyBody(const Status& status);
template <typename T>
Bytes MakeReplyBody(const Result<T>& result) {
  if (!result.ok()) return MakeReplyBody(result.status());
  Encoder out;
  out.Raw(MakeReplyBody(Status()));
  EncodeTo(&out, *result);
  return out.Take();
}

// Takes the outcome off the front of a reply's body; what is left are the answer's fields.
Status TakeOutcome(ConstSpan* body);

template <typename T>
Result<T> ParseReplyBody(ConstSpan body) {
  RETURN_IF_ERROR(TakeOutcome(&body));
  return DecodeMessage<T>(body);
}

}  // namespace atl
