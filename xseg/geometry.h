// SPDX-License-Identifier: Apache-2.0
//
// How large a segment is and where its parts lie (docs/LAYOUT.md, "Segment"). Pure arithmetic: the
// layout follows from the geometry, so whoever attaches computes it again and compares.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "xseg/base/status.h"
#include "xseg/base/units.h"
#include "xseg/port_record.h"

namespace atl {

inline constexpr size_t kPageBytes = 4096;
inline constexpr int kBlockClasses = 3;
// Small ones for single blocks, middle ones for a usual guest request, large ones singly or in runs
// for up to kMaxBufferBytes.
inline constexpr std::array<uint64_t, kBlockClasses> kBlockBytes = {4 * kKiB, 64 * kKiB, kMiB};
inline constexpr uint64_t kMaxBufferBytes = 32 * kMiB;

inline constexpr uint32_t kMaxPorts = 64;  // One bit each in a summary word.
inline constexpr uint32_t kMaxBlocksPerClass = 1u << 20;

struct Geometry {
  uint32_t ports = 32;            // 1 to kMaxPorts.
  uint32_t slots_per_port = 256;  // A multiple of 64 up to kMaxSlotsPerPort.
  std::array<uint32_t, kBlockClasses> blocks = {4096, 1024, 128};

  friend bool operator==(const Geometry&, const Geometry&) = default;
};

// Offsets and sizes in bytes from the start of the segment.
struct SegmentLayout {
  uint64_t ports_at = 0;
  uint64_t slots_at = 0;
  uint64_t mailboxes_at = 0;  // [receiver][sender].
  uint64_t metrics_at = 0;
  uint64_t block_words_at = 0;  // All classes, smallest first.
  uint64_t hints_at = 0;        // Likewise, each class from a cache line of its own.
  uint64_t area_at = 0;
  uint64_t area_bytes = 0;
  uint64_t total_bytes = 0;
  // Within the area, largest class first so that every block is aligned to its size.
  std::array<uint64_t, kBlockClasses> class_at{};

  friend bool operator==(const SegmentLayout&, const SegmentLayout&) = default;
};

// kInvalid if a limit is exceeded.
Result<SegmentLayout> PlanLayout(const Geometry& geometry);

// Hint words (64 blocks each) of a class.
constexpr uint64_t HintWords(uint32_t blocks) { return (blocks + 63) / 64; }

}  // namespace atl
