// SPDX-License-Identifier: Apache-2.0
//
// A page of sums: the checksums of one region of a blob, as they are stored (docs/FORMAT.md,
// "Sums"). The pages of a blob lie in a blob of their own beside it, page N for region N.
//
// A page that is absent, of another generation, or damaged says nothing: its region is dirty.
//
// Threads: any; pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "peers/store/store.h"
#include "xseg/base/bytes.h"

namespace atl {

inline constexpr uint64_t kSumPageBytes = 4 * kKiB;
inline constexpr size_t kSumsOfPage = 1016;
inline constexpr uint64_t kSumBlock = 4 * kKiB;
inline constexpr uint64_t kSumRegion = kSumsOfPage * kSumBlock;
inline ByteRange RegionRange(uint64_t region) { return {region * kSumRegion, kSumRegion}; }

// Beside a blob, with this bit in its instance.
inline constexpr uint16_t kSumsInstance = 0x8000;
inline BlobId SumsOf(BlobId blob) {
  blob.instance |= kSumsInstance;
  return blob;
}
inline bool IsOfSums(const BlobId& blob) { return (blob.instance & kSumsInstance) != 0; }
// These have checksums of their own.
inline bool HasNoSums(const BlobId& blob) { return IsOfSums(blob) || IsWriteLog(blob); }

struct SumPage {
  // Dirty: the region is being written to, and the sums mean nothing.
  bool clean = false;
  // Of each block. 0: not known, as of a hole.
  std::array<uint32_t, kSumsOfPage> sums{};
};

// Never 0. Depends on the place, so that a block of another one is as wrong as a flipped one.
uint32_t SumOfBlock(const BlobId& blob, uint64_t block, ConstSpan bytes);

Bytes EncodeSumPage(const SumPage& page, uint64_t generation, const BlobId& blob, uint64_t region);
// nullopt: it says nothing.
std::optional<SumPage> DecodeSumPage(ConstSpan bytes, uint64_t generation, const BlobId& blob,
                                     uint64_t region);

}  // namespace atl
