// SPDX-License-Identifier: Apache-2.0
//
// The header: the record of a map, what a resource *is*. Everything else that a map consists of is
// found from here, so what no header names is garbage.
//
// Limits: encoded under 4 KiB. The replay list has at most 8 journals.
// Format: docs/FORMAT.md, "Header".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peers/format/envelope.h"
#include "peers/store/ids.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/units.h"
#include "xseg/base/uuid.h"

namespace atl {

inline constexpr size_t kMaxHeaderBytes = 4096;
inline constexpr size_t kMaxReplayJournals = 8;
inline constexpr uint64_t kMaxReplayEntries = 1 << 20;
inline constexpr uint32_t kMaxRootBytes = 256 * kKiB;
// A node blob ends before this, as a node pointer has 47 bits for a place in it.
inline constexpr uint64_t kMaxNodeBlobBytes = 1ull << 47;
inline constexpr size_t kMaxReadOnlyReason = 1000;

// Where the root node of a map is. Absent (length 0): all of the map is zero.
struct RootPointer {
  Uuid owner;  // The node blob (owner, sequence) ...
  uint32_t sequence = 0;
  Uuid store;           // ... in this store,
  uint64_t offset = 0;  // and where in it.
  uint32_t length = 0;
  uint32_t crc = 0;  // Of the root node's bytes, as in its own header.

  bool absent() const { return length == 0; }
  LogId log() const { return LogId::Nodes(owner, sequence); }
  friend bool operator==(const RootPointer&, const RootPointer&) = default;
};

// A journal and how much of it counts.
struct ReplayJournal {
  Uuid owner;
  uint32_t epoch = 0;
  uint32_t generation = 0;
  Uuid store;           // Of the journal.
  Uuid blob_store;      // Of the blob (owner, epoch) that "own" means in it.
  uint64_t length = 0;  // Bytes; always at the end of a batch.
  uint64_t entries = 0;

  LogId log() const { return LogId::Journal(owner, epoch, generation); }
  BlobId blob() const { return {owner, epoch, 0}; }
  friend bool operator==(const ReplayJournal&, const ReplayJournal&) = default;
};

// A map's content at one point: the root and the changes since.
struct MapState {
  RootPointer root;
  std::vector<ReplayJournal> replay;  // Oldest first.
  friend bool operator==(const MapState&, const MapState&) = default;
};

enum class HeaderKind : uint8_t { kVolume = 1, kSnapshot = 2 };
enum class HeaderState : uint8_t {
  kLive = 1,
  kRemoved = 2,  // A tombstone: kept until no pending operation names it.
};

// An operation that has been decided and is not finished. Whoever opens the map finishes it.
enum class PendingKind : uint8_t {
  kSnapshot = 1,  // `uuid` shall have a header with `map`, `size` and `name`.
  kClone = 2,     // This header counts only if `uuid`, the snapshot, is found alive.
  kRollback = 3,  // `map` of snapshot `uuid` is kept alive while it becomes this map.
};
struct PendingOperation {
  PendingKind kind = PendingKind::kSnapshot;
  Uuid uuid;
  std::string name;
  uint64_t size = 0;
  int64_t time_ns = 0;
  MapState map;
  friend bool operator==(const PendingOperation&, const PendingOperation&) = default;
};

struct Header {
  FormatFlags flags;
  Uuid uuid;
  HeaderKind kind = HeaderKind::kVolume;
  HeaderState state = HeaderState::kLive;
  Uuid name_space;
  std::string name;
  uint64_t size = 0;
  uint32_t logical_block = 512;
  uint32_t physical_block = 4096;

  uint32_t epoch = 0;       // Of the current blob. A snapshot has none of its own: 0.
  Uuid epoch_store;         // Where the current blob and journal are.
  uint32_t generation = 0;  // Of the current journal; grows with each open and pin.
  // The current blob and journal were made, durably, before this header named them: if one of them
  // is absent it is lost. Not set: nobody has opened what was made, cloned or rolled back.
  bool begun = false;
  // A sync of the current blob or journal has failed: whatever the cache has of them, what counts
  // is what a loss of power leaves.
  bool sync_failed = false;
  // The generation with which it was last opened for writing; 0: it was closed in order since. The
  // write log is that of this opening (peers/format/write_log.h).
  uint32_t opening = 0;
  uint32_t node_sequence = 0;  // Of the current node blob; 0: none yet.
  MapState map;
  // How often this map gained names of blobs or logs other than its own new epoch's: garbage
  // collection compares it between two passes.
  uint64_t refs = 0;
  std::optional<PendingOperation> pending;

  Uuid parent;
  int64_t created_ns = 0;  // Since 1970 UTC.
  int64_t modified_ns = 0;
  std::string read_only_reason;  // Not empty: opened for reading only until an administrator acts.
  uint64_t encryption_key = 0;   // Room: id of a key; 0 is none.

  LogId journal() const { return LogId::Journal(uuid, epoch, generation); }
  BlobId blob() const { return {uuid, epoch, 0}; }
};

// kLimit if it would not fit, kInvalid, naming the field, for what DecodeHeader would refuse.
Result<Bytes> EncodeHeader(const Header& header);
// Checks everything that can be checked without other records; `uuid` is whose it should be.
Result<Header> DecodeHeader(ConstSpan bytes, const Uuid& uuid);

}  // namespace atl
