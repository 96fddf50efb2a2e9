// SPDX-License-Identifier: Apache-2.0
//
// The nodes of the map tree in memory and on a node blob. Nodes are immutable: a change writes new
// ones along the path ("path copying") and points to the old ones beside it.
//
// Pure. Format: docs/FORMAT.md, "Map nodes". A node's checksum is seeded with the name of its node
// blob and its offset there, so one that was misplaced is found out.
#pragma once

#include <array>
#include <cstdint>

#include "peers/map/geometry.h"
#include "peers/store/ids.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl {

// An entry of the source table. 0 reads as zero.
using SourceIndex = uint16_t;
inline constexpr SourceIndex kZeroSource = 0;

// A child: "all of it from source s", or a node in a node blob that is itself a source.
// 64 bits: bit 63 is set for a node; then bits 47..62 are the node blob's source index and bits
// 0..46 the offset. Else bits 0..15 are the source.
class NodePointer {
 public:
  constexpr NodePointer() = default;
  static constexpr NodePointer Uniform(SourceIndex source) { return NodePointer(source); }
  static NodePointer Node(SourceIndex blob, uint64_t offset);
  static constexpr NodePointer FromRaw(uint64_t raw) { return NodePointer(raw); }

  constexpr bool is_node() const { return (raw_ >> 63) != 0; }
  constexpr SourceIndex source() const { return static_cast<SourceIndex>(raw_); }
  constexpr SourceIndex blob() const { return static_cast<SourceIndex>(raw_ >> 47); }
  constexpr uint64_t offset() const { return raw_ & ((1ull << 47) - 1); }
  constexpr uint64_t raw() const { return raw_; }
  // No bit outside of its form is set.
  constexpr bool is_valid() const { return is_node() || raw_ <= 0xFFFF; }
  friend constexpr bool operator==(const NodePointer&, const NodePointer&) = default;

 private:
  explicit constexpr NodePointer(uint64_t raw) : raw_(raw) {}
  uint64_t raw_ = 0;
};

struct Leaf {
  std::array<SourceIndex, kLeafGrains> sources{};
};
struct Inner {
  std::array<NodePointer, kFanout> children{};
};

inline constexpr size_t kNodeHeaderBytes = 16;
inline constexpr size_t kMaxNodeBytes = 16 + 16 + 64 * 8;

// Where a node is: part of its checksum's seed.
struct NodePlace {
  LogId log;
  uint64_t offset = 0;
};

// If the node is uniform, its children all being the same uniform pointer (or a leaf's sources all
// the same), it needs no node: that source.
bool IsUniform(const Leaf& leaf, SourceIndex* source);
bool IsUniform(const Inner& inner, SourceIndex* source);

// `first` is the first sub-grain under the node. A leaf takes 16 bytes and a palette of 2, 4 or 16
// sources with 1, 2 or 4 bits a sub-grain, or 512 bytes of sources; an inner node takes 32 bytes
// and 8 for each child that is not the commonest uniform one.
void EncodeLeaf(const Leaf& leaf, uint64_t first, const NodePlace& place, Encoder* out);
void EncodeInner(const Inner& inner, int level, uint64_t first, const NodePlace& place,
                 Encoder* out);

// The whole length of the node that begins with these bytes (at least kNodeHeaderBytes of them);
// kCorrupt if they cannot begin one.
Result<size_t> NodeLength(ConstSpan bytes);
// kCorrupt, naming the place, if checksum, level or position are not what they must be.
Result<Leaf> DecodeLeaf(ConstSpan bytes, uint64_t first, const NodePlace& place);
Result<Inner> DecodeInner(ConstSpan bytes, int level, uint64_t first, const NodePlace& place);

}  // namespace atl
