// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

namespace atl {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <size_t N>
bool ParseHex(std::string_view text, std::array<uint8_t, N>* out, size_t count = N) {
  if (text.size() != 2 * count) return false;
  for (size_t i = 0; i < count; ++i) {
    const int high = HexDigit(text[2 * i]), low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*out)[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <typename T>
bool ParseInto(std::string_view text, T* out) {
  const auto number = ParseNumber(text);
  if (!number || *number > std::numeric_limits<T>::max()) return false;
  *out = static_cast<T>(*number);
  return true;
}

std::vector<std::string_view> SplitAtDots(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string FileNameOf(const BlobId& blob) {
  std::string name = fmt::format("{}.{}", blob.owner.ToHex(), blob.epoch);
  if (blob.instance != 0) name += fmt::format(".i{}", blob.instance);
  return name;
}

std::string FileNameOf(const LogId& log) {
  if (log.kind == LogKind::kNodes) return fmt::format("n.{}.{}", log.owner.ToHex(), log.epoch);
  return fmt::format("j.{}.{}.{}", log.owner.ToHex(), log.epoch, log.generation);
}

std::string FileNameOf(const RecordName& name) {
  const bool short_form =
      std::all_of(name.begin() + 16, name.end(), [](uint8_t byte) { return byte == 0; });
  return ToHex(name).substr(0, short_form ? 32 : 64);
}

const char* DirOf(RecordKind kind) {
  switch (kind) {
    case RecordKind::kSuperblock:
      return "superblock";
    case RecordKind::kHeader:
      return "header";
    case RecordKind::kName:
      return "name";
    case RecordKind::kLock:
      return "lock";
    case RecordKind::kLease:
      return "lease";
  }
  return "unknown";
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.front() == '+' || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return number;
}

std::optional<BlobId> ParseBlobName(std::string_view name) {
  const auto parts = SplitAtDots(name);
  BlobId blob;
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  if (!ParseHex(parts[0], &blob.owner.bytes)) return std::nullopt;
  if (!ParseInto(parts[1], &blob.epoch)) return std::nullopt;
  if (parts.size() == 2) return blob;
  if (parts[2].empty() || parts[2][0] != 'i') return std::nullopt;
  if (!ParseInto(parts[2].substr(1), &blob.instance) || blob.instance == 0) return std::nullopt;
  return blob;
}

std::optional<LogId> ParseLogName(std::string_view name) {
  const auto parts = SplitAtDots(name);
  LogId log;
  if (parts.size() < 3 || !ParseHex(parts[1], &log.owner.bytes)) return std::nullopt;
  if (!ParseInto(parts[2], &log.epoch)) return std::nullopt;
  if (parts[0] == "n" && parts.size() == 3) {
    log.kind = LogKind::kNodes;
    return log;
  }
  if (parts[0] != "j" || parts.size() != 4) return std::nullopt;
  if (!ParseInto(parts[3], &log.generation)) return std::nullopt;
  return log;
}

std::optional<RecordName> ParseRecordName(std::string_view text) {
  RecordName name{};
  const size_t count = text.size() / 2;
  if (count != 16 && count != 32) return std::nullopt;
  if (!ParseHex(text, &name, count) || FileNameOf(name) != text) return std::nullopt;
  return name;
}

std::optional<ChunkId> ParseChunkName(std::string_view text) {
  ChunkId id{};
  if (!ParseHex(text, &id)) return std::nullopt;
  return id;
}

}  // namespace atl
