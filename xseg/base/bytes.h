// SPDX-License-Identifier: Apache-2.0
//
// Byte spans, and the writer and reader of every format in this project: little-endian, fixed
// width, no padding but what is written. The reader takes hostile bytes: it never reads past its
// span, and after the first failure every further read returns zeros and `ok()` stays false.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xseg/base/uuid.h"

namespace atl {

static_assert(std::endian::native == std::endian::little, "formats are little-endian");

using Bytes = std::vector<std::byte>;
using ConstSpan = std::span<const std::byte>;
using MutSpan = std::span<std::byte>;

inline ConstSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view AsText(ConstSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
bool IsAllZero(ConstSpan bytes);

class Encoder {
 public:
  template <std::integral T>
  void Put(T value) {
    Raw({reinterpret_cast<const std::byte*>(&value), sizeof(value)});
  }
  void Put(const Uuid& uuid) { Raw(std::as_bytes(std::span(uuid.bytes))); }
  void Raw(ConstSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // A u32 length, then the bytes.
  void Blob(ConstSpan bytes) {
    Put(static_cast<uint32_t>(bytes.size()));
    Raw(bytes);
  }
  void Text(std::string_view text) { Blob(AsBytes(text)); }
  void Zeros(size_t count) { out_.resize(out_.size() + count); }

  size_t size() const { return out_.size(); }
  ConstSpan view() const { return out_; }
  Bytes Take() { return std::move(out_); }
  // Writes over what is there, as for a checksum that is known last.
  template <std::integral T>
  void PatchAt(size_t offset, T value) {
    CHECK(offset + sizeof(value) <= out_.size());
    std::memcpy(out_.data() + offset, &value, sizeof(value));
  }

 private:
  Bytes out_;
};

class Decoder {
 public:
  explicit Decoder(ConstSpan bytes) : in_(bytes) {}

  template <std::integral T>
  T Get() {
    T value{};
    const ConstSpan raw = Raw(sizeof(T));
    if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  Uuid GetUuid() {
    Uuid uuid;
    const ConstSpan raw = Raw(16);
    if (!raw.empty()) std::memcpy(uuid.bytes.data(), raw.data(), 16);
    return uuid;
  }
  // Exactly `count` bytes, or an empty span and failure.
  ConstSpan Raw(size_t count) {
    if (failed_ || count > in_.size()) {
      failed_ = true;
      return {};
    }
    const ConstSpan result = in_.first(count);
    in_ = in_.subspan(count);
    return result;
  }
  // A u32 length of at most `limit`, then the bytes.
  ConstSpan Blob(size_t limit) {
    const auto length = Get<uint32_t>();
    if (length > limit) failed_ = true;
    return Raw(length);
  }
  std::string Text(size_t limit) { return std::string(AsText(Blob(limit))); }

  bool ok() const { return !failed_; }
  // Everything was read and nothing failed.
  bool done() const { return !failed_ && in_.empty(); }
  size_t remaining() const { return in_.size(); }
  void Fail() { failed_ = true; }

 private:
  ConstSpan in_;
  bool failed_ = false;
};

}  // namespace atl
