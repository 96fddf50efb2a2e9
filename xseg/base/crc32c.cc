// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace atl {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // Reflected 0x1EDC6F41.

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = MakeTable();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cSse42(ConstSpan bytes, uint32_t seed) {
  uint64_t crc = ~seed;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto crc32 = static_cast<uint32_t>(crc);
  for (; left > 0; --left, ++at) crc32 = _mm_crc32_u8(crc32, static_cast<uint8_t>(*at));
  return ~crc32;
}
#endif

}  // namespace

namespace internal {
uint32_t Crc32cTable(ConstSpan bytes, uint32_t seed) {
  uint32_t crc = ~seed;
  for (std::byte byte : bytes) crc = kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}
}  // namespace internal

uint32_t Crc32c(ConstSpan bytes, uint32_t seed) {
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return Crc32cSse42(bytes, seed);
#endif
  return internal::Crc32cTable(bytes, seed);
}

}  // namespace atl
