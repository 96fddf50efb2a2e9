// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/uuid.h"

namespace atl {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool HyphenAt(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

Uuid Uuid::FromRandom(uint64_t high, uint64_t low) {
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), &high, 8);
  std::memcpy(uuid.bytes.data() + 8, &low, 8);
  uuid.bytes[6] = static_cast<uint8_t>((uuid.bytes[6] & 0x0F) | 0x40);
  uuid.bytes[8] = static_cast<uint8_t>((uuid.bytes[8] & 0x3F) | 0x80);
  return uuid;
}

Result<Uuid> Uuid::Parse(std::string_view text) {
  const bool hyphens = text.size() == 36;
  const Status bad(Code::kInvalid, "not a uuid: '" + std::string(text.substr(0, 64)) + "'");
  if (!hyphens && text.size() != 32) return bad;
  Uuid uuid;
  size_t nibble = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (hyphens && HyphenAt(i)) {
      if (text[i] != '-') return bad;
      continue;
    }
    const int digit = DigitOf(text[i]);
    if (digit < 0 || nibble == 32) return bad;
    uuid.bytes[nibble / 2] = static_cast<uint8_t>((uuid.bytes[nibble / 2] << 4) | digit);
    ++nibble;
  }
  return uuid;
}

std::string Uuid::ToHex() const {
  std::string text;
  text.reserve(32);
  for (uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string Uuid::ToString() const {
  std::string text = ToHex();
  for (size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return text;
}

}  // namespace atl
