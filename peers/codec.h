// SPDX-License-Identifier: Apache-2.0
//
// How the structs of peers/ops.h become bytes and come back. A struct that travels lists its fields
// once, in the order of the wire, in a function beside it:
//
//   template <typename V> void Fields(V& visit, LockInfo& x) { visit(x.holder, x.generation); }
//
// and both directions follow from that. Integers and enums are little-endian of their own width, a
// bool is one byte, a text or a byte string is a u32 length and its bytes, a list is a u32 count
// and its items, an array of bytes is as it is, an optional is a byte and, if that is 1, the value.
//
// WireReader takes hostile bytes: every text and list has a limit, an enum must have a known value
// (`IsValid`, beside the enum; one without it does not compile), a bool is 0 or 1, and a message
// must end where its last field does.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"

namespace atl {

// Longest text: a report in full.
inline constexpr size_t kMaxWireText = size_t{4} << 20;
inline constexpr size_t kMaxWireItems = 20'000;

constexpr bool IsValid(Code code) { return static_cast<int>(code) < kCodeCount; }

namespace internal {
template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsByteArray = false;
template <size_t kSize>
inline constexpr bool kIsByteArray<std::array<uint8_t, kSize>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
}  // namespace internal

// Writes to an Encoder, or to anything else that has its Put, Raw, Blob and Text.
template <typename Out>
class BasicWireWriter {
 public:
  explicit BasicWireWriter(Out* out) : out_(out) {}

  template <typename... T>
  void operator()(const T&... fields) {
    (Put(fields), ...);
  }

 private:
  template <typename T>
  void Put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      out_->Put(static_cast<uint8_t>(value));
    } else if constexpr (std::is_enum_v<T>) {
      out_->Put(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::integral<T> || std::is_same_v<T, Uuid>) {
      out_->Put(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      out_->Text(value);
    } else if constexpr (std::is_same_v<T, Bytes>) {
      out_->Blob(value);
    } else if constexpr (internal::kIsByteArray<T>) {
      out_->Raw(std::as_bytes(std::span(value)));
    } else if constexpr (internal::kIsVector<T>) {
      out_->Put(static_cast<uint32_t>(value.size()));
      for (const auto& item : value) Put(item);
    } else if constexpr (internal::kIsOptional<T>) {
      Put(value.has_value());
      if (value) Put(*value);
    } else {
      // One field list serves both directions, so it takes a mutable struct; this side only looks.
      Fields(*this, const_cast<T&>(value));
    }
  }

  Out* out_;
};
using WireWriter = BasicWireWriter<Encoder>;

class WireReader {
 public:
  explicit WireReader(Decoder* in) : in_(in) {}

  template <typename... T>
  void operator()(T&... fields) {
    (Get(fields), ...);
  }

 private:
  template <typename T>
  void Get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = in_->Get<uint8_t>();
      if (byte > 1) in_->Fail();
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(in_->Get<std::underlying_type_t<T>>());
      if (!IsValid(value)) in_->Fail();
    } else if constexpr (std::integral<T>) {
      value = in_->Get<T>();
    } else if constexpr (std::is_same_v<T, Uuid>) {
      value = in_->GetUuid();
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = in_->Text(kMaxWireText);
    } else if constexpr (std::is_same_v<T, Bytes>) {
      const ConstSpan bytes = in_->Blob(kMaxWireText);
      value.assign(bytes.begin(), bytes.end());
    } else if constexpr (internal::kIsByteArray<T>) {
      const ConstSpan bytes = in_->Raw(value.size());
      if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), value.size());
    } else if constexpr (internal::kIsVector<T>) {
      GetItems(value);
    } else if constexpr (internal::kIsOptional<T>) {
      bool there = false;
      Get(there);
      if (there) Get(value.emplace());
    } else {
      Fields(*this, value);
    }
  }

  // Grows with the bytes that are really there: a count alone costs no memory.
  template <typename T>
  void GetItems(std::vector<T>& items) {
    const auto count = in_->Get<uint32_t>();
    if (count > kMaxWireItems) in_->Fail();
    for (uint32_t i = 0; i < count && in_->ok(); ++i) Get(items.emplace_back());
  }

  Decoder* in_;
};

template <typename T>
void EncodeTo(Encoder* out, const T& value) {
  WireWriter writer(out);
  writer(value);
}

template <typename T>
Bytes EncodeMessage(const T& value) {
  Encoder out;
  EncodeTo(&out, value);
  return out.Take();
}

// kInvalid unless `bytes` are exactly one T.
template <typename T>
Result<T> DecodeMessage(ConstSpan bytes) {
  Decoder in(bytes);
  WireReader reader(&in);
  T value{};
  reader(value);
  if (!in.done()) return Status(Code::kInvalid, "a malformed message");
  return value;
}

}  // namespace atl
