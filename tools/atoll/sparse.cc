// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/sparse.h"

#include <algorithm>

namespace atl {

std::vector<ByteRange> DataRuns(uint64_t offset, ConstSpan data) {
  std::vector<ByteRange> runs;
  for (uint64_t at = 0; at < data.size();) {
    const uint64_t end =
        std::min<uint64_t>(AlignDown(offset + at, kSubGrain) + kSubGrain - offset, data.size());
    if (!IsAllZero(data.subspan(at, end - at))) {
      if (!runs.empty() && at - runs.back().end() < kMinZeroRun) {
        runs.back().length = end - runs.back().offset;
      } else {
        runs.push_back({at, end - at});
      }
    }
    at = end;
  }
  return runs;
}

}  // namespace atl
