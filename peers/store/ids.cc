// SPDX-License-Identifier: Apache-2.0
#include "peers/store/ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace atl {

std::string ToHex(const std::array<uint8_t, 32>& bytes) {
  std::string text;
  for (uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string BlobId::ToString() const {
  std::string text = fmt::format("{}.{}", owner.ToString(), epoch);
  if (instance != 0) text += fmt::format(".i{}", instance);
  return text;
}

std::string LogId::ToString() const {
  if (kind == LogKind::kNodes) return fmt::format("nodes {}.{}", owner.ToString(), epoch);
  return fmt::format("journal {}.{}.{}", owner.ToString(), epoch, generation);
}

RecordKey RecordKey::Of(RecordKind kind, const Uuid& uuid) {
  RecordKey key{.kind = kind};
  std::copy(uuid.bytes.begin(), uuid.bytes.end(), key.name.begin());
  return key;
}

Uuid RecordKey::uuid() const {
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), name.data(), uuid.bytes.size());
  return uuid;
}

std::string RecordKey::ToString() const {
  switch (kind) {
    case RecordKind::kSuperblock:
      return "superblock";
    case RecordKind::kHeader:
      return "header " + uuid().ToString();
    case RecordKind::kName:
      return "name " + ToHex(name);
    case RecordKind::kLock:
      return "lock " + uuid().ToString();
    case RecordKind::kLease:
      return "lease " + uuid().ToString();
  }
  return fmt::format("record of unknown kind {}", static_cast<int>(kind));
}

}  // namespace atl
