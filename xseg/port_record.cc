// SPDX-License-Identifier: Apache-2.0
#include "xseg/port_record.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace atl {

std::string PortRecord::LoadName() const {
  std::array<uint64_t, kPortNameBytes / 8> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = name[i].Load();
  std::array<char, kPortNameBytes> bytes;
  std::memcpy(bytes.data(), words.data(), bytes.size());
  std::string text(bytes.data(), strnlen(bytes.data(), bytes.size()));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

void PortRecord::StoreName(std::string_view text) {
  std::array<uint64_t, kPortNameBytes / 8> words{};
  std::memcpy(words.data(), text.data(), std::min(text.size(), kPortNameBytes - 1));
  for (size_t i = 0; i < words.size(); ++i) name[i].Store(words[i]);
}

}  // namespace atl
