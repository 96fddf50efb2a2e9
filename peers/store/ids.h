// SPDX-License-Identifier: Apache-2.0
//
// The names of what a store holds. None is ever used twice, so a name that was seen once always
// means the same bytes; whoever creates one brings it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "xseg/base/uuid.h"

namespace atl {

// A sparse byte space: what volume `owner` wrote in `epoch`. `instance` counts reflink copies made
// by a seal; 0 is the original.
struct BlobId {
  Uuid owner;
  uint32_t epoch = 0;
  uint16_t instance = 0;

  std::string ToString() const;  // "uuid.epoch" or "uuid.epoch.iN"
  friend auto operator<=>(const BlobId&, const BlobId&) = default;
};

enum class LogKind : uint8_t {
  kJournal = 1,  // Map changes of (owner, epoch), written by `generation`.
  kNodes = 2,    // Map nodes: (owner, epoch = sequence, generation = 0).
};

// The write log of a volume (peers/format/write_log.h): a blob with this bit in its instance, whose
// epoch is the opening that has made it. It has checksums of its own.
inline constexpr uint16_t kWriteLogInstance = 0x4000;
inline BlobId WriteLogOf(const Uuid& volume, uint32_t opening) {
  return {volume, opening, kWriteLogInstance};
}

inline bool IsWriteLog(const BlobId& blob) { return (blob.instance & kWriteLogInstance) != 0; }

// An append-only byte sequence.
struct LogId {
  LogKind kind = LogKind::kJournal;
  Uuid owner;
  uint32_t epoch = 0;
  uint32_t generation = 0;

  static LogId Journal(const Uuid& owner, uint32_t epoch, uint32_t generation) {
    return {LogKind::kJournal, owner, epoch, generation};
  }
  static LogId Nodes(const Uuid& owner, uint32_t sequence) {
    return {LogKind::kNodes, owner, sequence, 0};
  }
  std::string ToString() const;  // "journal uuid.epoch.generation" or "nodes uuid.sequence"
  friend auto operator<=>(const LogId&, const LogId&) = default;
};

enum class RecordKind : uint8_t {
  kSuperblock = 1,  // One a store, id zero.
  kHeader = 2,      // id: the resource's uuid.
  kName = 3,        // id: SHA-256 of namespace and name.
  kLock = 4,        // id: the volume's uuid.
  kLease = 5,       // id: the incarnation's uuid.
};

// 32 bytes that name a record within its kind: a uuid and 16 zeros, or a SHA-256.
using RecordName = std::array<uint8_t, 32>;

struct RecordKey {
  RecordKind kind = RecordKind::kHeader;
  RecordName name{};

  static RecordKey Of(RecordKind kind, const Uuid& uuid);
  Uuid uuid() const;             // The first 16 bytes.
  std::string ToString() const;  // "header uuid", "name 64-digits", ...
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
};

// SHA-256 of a chunk's content.
using ChunkId = std::array<uint8_t, 32>;

std::string ToHex(const std::array<uint8_t, 32>& bytes);

}  // namespace atl

template <>
struct std::hash<atl::BlobId> {
  size_t operator()(const atl::BlobId& id) const noexcept {
    return std::hash<atl::Uuid>()(id.owner) ^ (id.epoch * 0x9E3779B97F4A7C15ull) ^ id.instance;
  }
};
template <>
struct std::hash<atl::LogId> {
  size_t operator()(const atl::LogId& id) const noexcept {
    return std::hash<atl::Uuid>()(id.owner) ^ (id.epoch * 0x9E3779B97F4A7C15ull) ^
           (id.generation * 0xC2B2AE3D27D4EB4Full) ^ static_cast<size_t>(id.kind);
  }
};
template <>
struct std::hash<atl::RecordKey> {
  size_t operator()(const atl::RecordKey& key) const noexcept {
    uint64_t word;
    static_assert(sizeof(word) <= sizeof(key.name));
    std::memcpy(&word, key.name.data(), sizeof(word));
    return word ^ static_cast<size_t>(key.kind);
  }
};
