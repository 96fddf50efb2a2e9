// SPDX-License-Identifier: Apache-2.0
//
// How a call of peers/ops.h lies in a request slot (xseg/slot.h).
//
// Request. The slot's buffer is the data of the call, if it has any: bytes of the segment that the
// receiver reads, or fills. The inline arguments begin with a RpcHead; the fields of the operation
// follow it, or, if they are too long, fill the front of the message buffer. A message buffer is
// the caller's, and is also where an answer goes that is too long for the slot.
//
// Answer. `code` is the outcome. `result` says that a server wrote it and how long its body is:
//
//   bit 40        kAnswered; without it nobody read the request, and there is no body
//   bit 41        kTextKept: the text of an error did not fit; the slot has the number (u64) under
//                 which the server keeps it for a moment (ErrorTextOp)
//   bit 42        kAskAgain; a server died when it was about to answer, and what it wrote lies over
//                 the request, so that its successor cannot read it: the caller sends it once more
//   bits 0 to 31  length of the body in bytes
//
// The body is the fields of the answer, or the text of an error. It is in the slot if it fits
// there, else in the message buffer if it fits there, else it is absent, and the caller may ask
// again with more room if the operation may be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "peers/codec.h"
#include "peers/ops.h"
#include "xseg/buffer_ref.h"
#include "xseg/geometry.h"
#include "xseg/slot.h"

namespace atl {

struct RpcHead {
  uint64_t message_offset;  // Of the message buffer, in the buffer area.
  uint32_t message_bytes;   // 0: there is none.
  uint32_t argument_bytes;  // Of the operation's fields, wherever they are.
};
static_assert(sizeof(RpcHead) == 16);
inline constexpr size_t kRpcInlineBytes = kInlineArgumentBytes - sizeof(RpcHead);

inline constexpr int64_t kAnswered = int64_t{1} << 40;
inline constexpr int64_t kTextKept = int64_t{1} << 41;
inline constexpr int64_t kAskAgain = int64_t{1} << 42;
inline constexpr int64_t kBodyMask = 0xFFFFFFFF;

// Flags of a slot that belong to this layer.
inline constexpr uint16_t kFlagAnswering = 0x0001;  // The answer is being written over the request.
inline constexpr uint16_t kFlagAgain = 0x0002;      // Sent once more: it may have been carried out.

// Handles that a server gives out say in their upper half which incarnation of its port it was, so
// that one of a predecessor is known to be stale.
constexpr uint64_t FirstHandle(uint32_t life) { return (uint64_t{life} << 32) + 1; }
constexpr bool IsStaleHandle(uint64_t handle, uint32_t life) { return handle >> 32 != life; }

// Room for an answer that is asked for along with the call, in bytes; 0: the slot will usually do.
template <typename O>
inline constexpr size_t kReplyRoom = 0;
inline constexpr size_t kMaxReplyRoom = kMaxBufferBytes;

// The text of an error that a server kept; only the most recent ones are there.
struct ErrorTextReply {
  std::string text;
};
struct ErrorTextOp {
  using Wire = WireRow<Op::kErrorText, ErrorTextReply, Repeat::kHarmless>;
  uint64_t number = 0;
};
template <typename V>
void Fields(V& v, ErrorTextReply& x) {
  v(x.text);
}
template <typename V>
void Fields(V& v, ErrorTextOp& x) {
  v(x.number);
}
template <>
inline constexpr size_t kReplyRoom<ErrorTextOp> = kPageBytes;

// Encodes into a span as far as it reaches, and counts all of it.
class SpanEncoder {
 public:
  explicit SpanEncoder(MutSpan out) : out_(out) {}

  template <std::integral T>
  void Put(T value) {
    Raw({reinterpret_cast<const std::byte*>(&value), sizeof(value)});
  }
  void Put(const Uuid& uuid) { Raw(std::as_bytes(std::span(uuid.bytes))); }
  void Raw(ConstSpan bytes) {
    if (size_ + bytes.size() <= out_.size() && !bytes.empty()) {
      std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
    }
    size_ += bytes.size();
  }
  void Blob(ConstSpan bytes) {
    Put(static_cast<uint32_t>(bytes.size()));
    Raw(bytes);
  }
  void Text(std::string_view text) { Blob(AsBytes(text)); }

  size_t size() const { return size_; }

 private:
  MutSpan out_;
  size_t size_ = 0;
};

// Returns how many bytes `value` takes; all of them are in `out` if they fit there.
template <typename T>
size_t EncodeInto(MutSpan out, const T& value) {
  SpanEncoder encoder(out);
  BasicWireWriter<SpanEncoder> writer(&encoder);
  writer(value);
  return encoder.size();
}

}  // namespace atl
