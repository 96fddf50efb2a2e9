// SPDX-License-Identifier: Apache-2.0
//
// 128-bit identity of a resource, a store, an operation or an incarnation. Sixteen opaque bytes;
// random ones are version 4 of RFC 9562. The zero uuid means "none".
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "xseg/base/status.h"

namespace atl {

struct Uuid {
  std::array<uint8_t, 16> bytes{};

  // Makes a version 4 uuid of 128 random bits.
  static Uuid FromRandom(uint64_t high, uint64_t low);
  // Accepts 36 characters with hyphens or 32 without, either case.
  static Result<Uuid> Parse(std::string_view text);

  bool is_zero() const { return *this == Uuid{}; }
  // 8-4-4-4-12, lower case.
  std::string ToString() const;
  // 32 digits, lower case; the form used in file names.
  std::string ToHex() const;

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};
static_assert(sizeof(Uuid) == 16);

}  // namespace atl

template <>
struct std::hash<atl::Uuid> {
  size_t operator()(const atl::Uuid& uuid) const noexcept {
    uint64_t words[2];
    std::memcpy(words, uuid.bytes.data(), sizeof(words));
    return words[0] ^ (words[1] * 0x9E3779B97F4A7C15ull);
  }
};
