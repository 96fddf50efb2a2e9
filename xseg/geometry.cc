// SPDX-License-Identifier: Apache-2.0
#include "xseg/geometry.h"

#include "xseg/metrics.h"

namespace atl {
namespace {

Status Validate(const Geometry& geometry) {
  if (geometry.ports < 1 || geometry.ports > kMaxPorts) {
    return {Code::kInvalid, "a segment has 1 to 64 ports"};
  }
  if (geometry.slots_per_port < 64 || geometry.slots_per_port > kMaxSlotsPerPort ||
      geometry.slots_per_port % 64 != 0) {
    return {Code::kInvalid, "a port has 64 to 512 slots, a multiple of 64"};
  }
  for (const uint32_t blocks : geometry.blocks) {
    if (blocks > kMaxBlocksPerClass) return {Code::kInvalid, "too many buffer blocks in a class"};
  }
  return {};
}

}  // namespace

Result<SegmentLayout> PlanLayout(const Geometry& geometry) {
  RETURN_IF_ERROR(Validate(geometry));
  const uint64_t ports = geometry.ports;
  SegmentLayout out;
  uint64_t at = kPageBytes;
  const auto place = [&at](uint64_t bytes, uint64_t alignment) {
    const uint64_t start = AlignUp(at, alignment);
    at = start + bytes;
    return start;
  };
  out.ports_at = place(ports * sizeof(PortRecord), kPageBytes);
  out.slots_at = place(ports * geometry.slots_per_port * kSlotBytes, kPageBytes);
  out.mailboxes_at = place(ports * ports * sizeof(Mailbox), kPageBytes);
  out.metrics_at = place(ports * sizeof(PortMetrics), kPageBytes);
  uint64_t words = 0;
  uint64_t hint_bytes = 0;
  for (const uint32_t blocks : geometry.blocks) {
    words += blocks;
    hint_bytes += AlignUp(HintWords(blocks) * 8, kCacheLine);
  }
  out.block_words_at = place(words * sizeof(uint32_t), kPageBytes);
  out.hints_at = place(hint_bytes, kPageBytes);
  for (int c = kBlockClasses - 1; c >= 0; --c) {
    out.class_at[c] = out.area_bytes;
    out.area_bytes += geometry.blocks[c] * kBlockBytes[c];
  }
  out.area_at = place(out.area_bytes, kMiB);
  out.total_bytes = AlignUp(at, kPageBytes);
  return out;
}

}  // namespace atl
