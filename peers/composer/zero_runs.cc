// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/zero_runs.h"

#include <algorithm>

namespace atl {
namespace {

// Makes data of the last run, which has neighbours, if it is zeros that are not worth it.
void AbsorbShortRun(WriteRuns* runs) {
  WriteRun& last = runs->back();
  if (!last.zero || last.range.length >= kMinZeroRun) return;
  last.zero = false;
  if (runs->size() == 1) return;
  const uint64_t length = last.range.length;
  runs->pop_back();
  runs->back().range.length += length;
}

}  // namespace

WriteRuns FindZeroRuns(uint64_t offset, ConstSpan data) {
  WriteRuns runs;
  const uint64_t end = offset + data.size();
  for (uint64_t at = offset; at < end;) {
    const uint64_t next = std::min(AlignDown(at, kSubGrain) + kSubGrain, end);
    const bool zero = IsAllZero(data.subspan(at - offset, next - at));
    if (!runs.empty() && !zero) AbsorbShortRun(&runs);
    if (runs.empty() || runs.back().zero != zero) runs.push_back({{at, 0}, zero});
    runs.back().range.length += next - at;
    at = next;
  }
  if (runs.size() > 1) AbsorbShortRun(&runs);
  return runs;
}

}  // namespace atl
