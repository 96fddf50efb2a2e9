// SPDX-License-Identifier: Apache-2.0
//
// Names bytes of a buffer area by offset and length, so that it means the same in every process.
#pragma once

#include <cstdint>

namespace atl {

struct BufferRef {
  uint64_t offset = 0;  // From the start of the buffer area.
  uint32_t length = 0;  // 0: no buffer.

  constexpr bool empty() const { return length == 0; }
  // Wholly inside an area of so many bytes; safe for any values.
  constexpr bool FitsIn(uint64_t area_bytes) const {
    return offset <= area_bytes && length <= area_bytes - offset;
  }
  friend constexpr bool operator==(const BufferRef&, const BufferRef&) = default;
};

}  // namespace atl
