// SPDX-License-Identifier: Apache-2.0
//
// Sizes, ranges and alignment. Offsets and lengths are bytes unless a name says otherwise.
#pragma once

#include <algorithm>
#include <cstdint>

namespace atl {

inline constexpr uint64_t kKiB = 1ull << 10;
inline constexpr uint64_t kMiB = 1ull << 20;
inline constexpr uint64_t kGiB = 1ull << 30;
inline constexpr uint64_t kTiB = 1ull << 40;
inline constexpr uint64_t kPiB = 1ull << 50;

inline constexpr int64_t kMicrosecond = 1'000;
inline constexpr int64_t kMillisecond = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;

// The unit of the map: the smallest piece that has a source of its own.
inline constexpr uint64_t kSubGrain = 4 * kKiB;
inline constexpr uint64_t kSector = 512;
inline constexpr uint64_t kMaxVolumeSize = kPiB;

constexpr uint64_t AlignDown(uint64_t value, uint64_t unit) { return value / unit * unit; }
constexpr uint64_t AlignUp(uint64_t value, uint64_t unit) {
  return AlignDown(value + unit - 1, unit);
}
constexpr bool IsAligned(uint64_t value, uint64_t unit) { return value % unit == 0; }

// [offset, offset + length), in bytes.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;

  constexpr uint64_t end() const { return offset + length; }
  constexpr bool empty() const { return length == 0; }
  constexpr bool Overlaps(const ByteRange& other) const {
    return offset < other.end() && other.offset < end();
  }
  constexpr bool Contains(const ByteRange& other) const {
    return offset <= other.offset && other.end() <= end();
  }
  constexpr ByteRange Intersect(const ByteRange& other) const {
    const uint64_t low = std::max(offset, other.offset);
    const uint64_t high = std::min(end(), other.end());
    return high > low ? ByteRange{low, high - low} : ByteRange{low, 0};
  }
  // The smallest range of whole units that contains this one.
  constexpr ByteRange RoundOut(uint64_t unit) const {
    const uint64_t low = AlignDown(offset, unit);
    return {low, AlignUp(end(), unit) - low};
  }
  // The largest range of whole units inside this one; empty if there is none.
  constexpr ByteRange RoundIn(uint64_t unit) const {
    const uint64_t low = AlignUp(offset, unit);
    const uint64_t high = AlignDown(end(), unit);
    return high > low ? ByteRange{low, high - low} : ByteRange{low, 0};
  }
  friend constexpr bool operator==(const ByteRange&, const ByteRange&) = default;
};

}  // namespace atl
