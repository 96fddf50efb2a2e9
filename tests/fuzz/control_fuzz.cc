// SPDX-License-Identifier: Apache-2.0
//
// Feeds the codec of the node's socket: the first byte chooses an operation or an answer, the rest
// are its bytes. What is decoded must encode to the same bytes again.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "peers/client/frame.h"
#include "peers/codec.h"
#include "peers/ops.h"

namespace {

template <typename T>
void Try(atl::ConstSpan bytes) {
  const auto value = atl::DecodeMessage<T>(bytes);
  if (!value.ok()) return;
  const atl::Bytes again = atl::EncodeMessage(*value);
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
}

template <typename... Ops>
void TryOne(atl::OpList<Ops...>, size_t choice, atl::ConstSpan bytes) {
  size_t index = 0;
  ((index++ == choice ? Try<Ops>(bytes) : void()), ...);
  ((index++ == choice ? Try<typename Ops::Wire::Reply>(bytes) : void()), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const atl::ConstSpan rest{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  TryOne(atl::ControlOps{}, data[0] % (2 * atl::ControlOps::kSize), rest);
  const auto reply = atl::ParseReplyBody<atl::ResourcePage>(rest);
  std::array<std::byte, atl::kFrameHeaderBytes> raw{};
  std::copy_n(rest.begin(), std::min(rest.size(), raw.size()), raw.begin());
  const auto request = atl::ParseFrameHeader(raw, atl::FrameKind::kRequest);
  (void)reply;
  (void)request;
  return 0;
}
