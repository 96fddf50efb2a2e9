// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "peers/client/atoll.h"

namespace atl {
namespace {

bool IsNameByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-' || c == '@' || c == '/';
}

}  // namespace

Status ValidateName(std::string_view name) {
  if (name.empty()) return {Code::kInvalid, "a name has at least one byte"};
  if (name.size() > kMaxNameBytes) {
    return {Code::kInvalid, fmt::format("a name has at most {} bytes, this one has {}",
                                        kMaxNameBytes, name.size())};
  }
  for (size_t i = 0; i < name.size(); ++i) {
    if (IsNameByte(name[i])) continue;
    return {Code::kInvalid,
            fmt::format("a name is made of A-Z a-z 0-9 . _ - @ /; byte {} is 0x{:02x}", i,
                        static_cast<unsigned char>(name[i]))};
  }
  return {};
}

Status ValidateSize(uint64_t size) {
  if (size == 0) return {Code::kInvalid, "a size of 0 makes no volume"};
  if (size > kMaxVolumeSize) return {Code::kInvalid, "a volume has at most 1 PiB"};
  if (!IsAligned(size, kSector)) {
    return {Code::kInvalid, fmt::format("a size is a multiple of 512 bytes, {} is not", size)};
  }
  return {};
}

std::string_view ToString(ResourceKind kind) {
  return kind == ResourceKind::kSnapshot ? "snapshot" : "volume";
}

}  // namespace atl
