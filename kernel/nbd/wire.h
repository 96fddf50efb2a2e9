// SPDX-License-Identifier: Apache-2.0
//
// Big-endian fields, as NBD sends them. The reader takes hostile bytes: like Decoder (bytes.h) it
// yields zeros and stays failed once it was asked for more than there is.
#pragma once

#include <concepts>
#include <cstring>
#include <string_view>

#include "xseg/base/bytes.h"

namespace atl::nbd {

template <std::integral T>
constexpr T SwapBytes(T value) {
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
}

template <std::unsigned_integral T>
T LoadBe(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return SwapBytes(value);
}

template <std::unsigned_integral T>
void PutBe(Bytes& out, T value) {
  const T swapped = SwapBytes(value);
  const auto* raw = reinterpret_cast<const std::byte*>(&swapped);
  out.insert(out.end(), raw, raw + sizeof(swapped));
}

inline void PutText(Bytes& out, std::string_view text) {
  const ConstSpan raw = AsBytes(text);
  out.insert(out.end(), raw.begin(), raw.end());
}

class BeReader {
 public:
  explicit BeReader(ConstSpan in) : in_(in) {}

  template <std::unsigned_integral T>
  T Get() {
    const ConstSpan raw = Raw(sizeof(T));
    return raw.empty() ? T{} : LoadBe<T>(raw.data());
  }
  ConstSpan Raw(size_t count) {
    if (failed_ || count > in_.size()) {
      failed_ = true;
      return {};
    }
    const ConstSpan result = in_.first(count);
    in_ = in_.subspan(count);
    return result;
  }
  std::string_view Text(size_t count) { return AsText(Raw(count)); }

  bool ok() const { return !failed_; }
  bool done() const { return !failed_ && in_.empty(); }
  size_t remaining() const { return in_.size(); }

 private:
  ConstSpan in_;
  bool failed_ = false;
};

}  // namespace atl::nbd
