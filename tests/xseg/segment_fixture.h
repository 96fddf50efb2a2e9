// SPDX-License-Identifier: Apache-2.0
//
// A small segment for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <utility>

#include "xseg/port.h"
#include "xseg/segment.h"

namespace atl {

inline std::unique_ptr<Segment> MakeSegment(Geometry geometry = {.ports = 8,
                                                                 .slots_per_port = 64,
                                                                 .blocks = {64, 16, 40}}) {
  auto segment = Segment::Create(geometry, Uuid::FromRandom(1, 2));
  CHECK(segment.ok()) << segment.status().ToString();
  return std::move(*segment);
}

inline std::unique_ptr<Port> ClaimOrDie(Segment& segment, std::string_view name) {
  auto port = Port::Claim(&segment, name);
  CHECK(port.ok()) << port.status().ToString();
  return std::move(*port);
}

// Blocks of any class that `port` owns.
inline uint64_t BlocksOf(const Segment& segment, PortIndex port) {
  uint64_t count = 0;
  for (int c = 0; c < kBlockClasses; ++c) {
    for (const auto& word : segment.block_words(c)) {
      const BlockWord block = BlockWord::Unpack(word.load());
      if (block.use != BlockUse::kFree && block.owner == port) ++count;
    }
  }
  return count;
}

}  // namespace atl
