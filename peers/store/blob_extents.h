// SPDX-License-Identifier: Apache-2.0
//
// Building a list of extents. Any thread.
#pragma once

#include <vector>

#include "peers/store/store.h"

namespace atl {

// Appends `range`, joined to its neighbour if that is of the same sort. Nothing if it is empty.
inline void AddExtent(std::vector<BlobExtent>* extents, ByteRange range, ExtentKind kind) {
  if (range.empty()) return;
  if (!extents->empty() && extents->back().kind == kind) {
    extents->back().range.length += range.length;
  } else {
    extents->push_back({range, kind});
  }
}

}  // namespace atl
