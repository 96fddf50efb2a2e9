// SPDX-License-Identifier: Apache-2.0
//
// The root node: the source table with exact counts, and the pointer to the top of the tree. It is
// written to a node blob like any node, and named by the header.
//
// Pure. Format: docs/FORMAT.md, "Root node".
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "peers/format/envelope.h"
#include "peers/map/node.h"
#include "peers/store/ids.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"

namespace atl {

inline constexpr size_t kMaxSources = 4096;
inline constexpr uint32_t kMaxSourceIndex = 65535;

enum class SourceType : uint8_t { kBlob = 1, kManifest = 2, kNodes = 3 };
inline constexpr uint8_t kSourceUnsealed = 1;  // A flag: read through it only by copying first.

struct Source {
  SourceType type = SourceType::kBlob;
  uint8_t flags = 0;
  Uuid owner;
  uint32_t epoch = 0;  // Of a blob; of nodes: the sequence.
  uint16_t instance = 0;
  Uuid store;          // A hint: where it was when this was written.
  uint64_t count = 0;  // Sub-grains that read from it; nodes in it that this map uses.

  BlobId blob() const { return {owner, epoch, instance}; }
  LogId nodes() const { return LogId::Nodes(owner, epoch); }
  friend bool operator==(const Source&, const Source&) = default;
};

struct Root {
  FormatFlags flags;
  NodePointer top;
  // Every index below it was used once in this lineage; indices are not used again.
  uint32_t next_index = 1;
  std::map<SourceIndex, Source> sources;  // Without source 0.
};

// kLimit with more than kMaxSources.
Result<Bytes> EncodeRoot(const Root& root, const NodePlace& place);
// The checksum that a RootPointer carries, of encoded bytes.
uint32_t RootChecksum(ConstSpan encoded);
Result<Root> DecodeRoot(ConstSpan bytes, const NodePlace& place, uint32_t checksum);

}  // namespace atl
