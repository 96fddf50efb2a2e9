// SPDX-License-Identifier: Apache-2.0
//
// What is a hole, and what only looks like one.
#include "peers/store/blob_extents.h"
#include "peers/store/checksum/checksum_store.h"

namespace atl {
Task<Result<std::vector<BlobExtent>>> ChecksumStore::Extents(const BlobId& blob_ref,
                                                             ByteRange range) {
  const BlobId blob = blob_ref;
  CO_ASSIGN_OR_RETURN(const auto found, co_await ForwardingStore::Extents(blob, range));
  if (HasNoSums(blob)) co_return found;
  std::vector<BlobExtent> out;
  for (const BlobExtent& extent : found) {
    if (extent.kind == ExtentKind::kData) {
      AddExtent(&out, extent.range, extent.kind);
    } else {
      co_await AddWithLost(blob, extent, &out);
    }
  }
  co_return out;
}

Task<void> ChecksumStore::AddWithLost(BlobId blob, BlobExtent extent,
                                      std::vector<BlobExtent>* out) {
  uint64_t at = extent.range.offset;
  const auto regions = co_await RegionsWithPages(blob, extent.range);
  for (size_t i = 0; regions.ok() && i < regions->size(); ++i) {
    const uint64_t region = (*regions)[i];
    const PageRef page = co_await PageOf(blob, region);
    if (!page) continue;
    const ByteRange part = RegionRange(region).Intersect(extent.range);
    for (uint64_t block = part.offset / kSumBlock; block * kSumBlock < part.end(); ++block) {
      if (page->sums[block - region * kSumsOfPage] == 0) continue;
      const ByteRange lost = ByteRange{block * kSumBlock, kSumBlock}.Intersect(extent.range);
      AddExtent(out, {at, lost.offset - at}, extent.kind);
      AddExtent(out, lost, ExtentKind::kData);
      at = lost.end();
    }
  }
  AddExtent(out, {at, extent.range.end() - at}, extent.kind);
}

}  // namespace atl
