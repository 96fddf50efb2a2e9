// SPDX-License-Identifier: Apache-2.0
//
// The first 16 bytes of a leaf or an inner node. See docs/FORMAT.md, "Map nodes".
#pragma once

#include <cstdint>

#include "peers/map/node.h"

namespace atl {

enum class NodeForm : uint8_t {
  kPalette2 = 1,   // 2 sources, 1 bit a sub-grain.
  kPalette4 = 2,   // 4 sources, 2 bits.
  kPalette16 = 3,  // 16 sources, 4 bits.
  kPlain = 4,      // A source for each sub-grain.
  kInner = 5,      // A default and a bitmap of those children that differ from it.
};

struct NodeHeader {
  NodeForm form = NodeForm::kInner;
  uint8_t level = 0;
  uint16_t length = 0;  // Of the whole node.
  uint64_t first = 0;   // The first sub-grain under it.
};

// Mixes a place into a checksum: the seed for what stands there.
uint32_t SeedOf(const NodePlace& place);

void PutNodeHeader(Encoder* out, const NodeHeader& header);
// Fills in the checksum of the node that begins at `start` and reaches to the end.
void FinishNode(Encoder* out, size_t start, const NodePlace& place);
// Form, level and length fit each other; nothing is said about the checksum.
Result<NodeHeader> ParseNodeHeader(ConstSpan bytes);
// The header of the node that is exactly `bytes`, with checksum, level and position as they must
// be; `body` is what follows it.
Result<NodeHeader> OpenNode(ConstSpan bytes, int level, uint64_t first, const NodePlace& place,
                            Decoder* body);
// "kCorrupt: node at 5 of nodes U.1: what".
Status BadNode(const NodePlace& place, std::string_view what);

}  // namespace atl
