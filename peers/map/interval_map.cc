// SPDX-License-Identifier: Apache-2.0
#include "peers/map/interval_map.h"

#include <algorithm>

namespace atl {
namespace {

constexpr int kSourceBits = 16;
static_assert(kMapGrains < 1ull << (64 - kSourceBits));

constexpr uint64_t Pack(uint64_t end, SourceIndex source) { return end << kSourceBits | source; }
constexpr uint64_t EndOf(uint64_t packed) { return packed >> kSourceBits; }
constexpr SourceIndex SourceOf(uint64_t packed) { return static_cast<SourceIndex>(packed); }

// The first run that ends behind `grain`.
template <typename Map>
auto FirstEndingAfter(Map& runs, uint64_t grain) {
  auto it = runs.upper_bound(grain);
  if (it == runs.begin()) return it;
  const auto before = std::prev(it);
  return EndOf(before->second) > grain ? before : it;
}

void CheckRange(GrainRange range) {
  CHECK(range.count <= kMapGrains && range.first <= kMapGrains - range.count)
      << "range at " << range.first << " of " << range.count;
}

}  // namespace

void IntervalMap::Erase(GrainRange range) {
  CheckRange(range);
  if (range.count == 0) return;
  auto it = FirstEndingAfter(runs_, range.first);
  if (it == runs_.end() || it->first >= range.end()) return;
  const uint64_t packed = it->second;
  if (it->first < range.first) {
    // The head of this run stays; its tail may reach behind the range.
    it->second = Pack(range.first, SourceOf(packed));
    if (EndOf(packed) > range.end()) {
      runs_.emplace(range.end(), packed);
      return;
    }
    ++it;
  }
  while (it != runs_.end() && it->first < range.end()) {
    const uint64_t value = it->second;
    it = runs_.erase(it);
    if (EndOf(value) > range.end()) {
      runs_.emplace(range.end(), value);
      return;
    }
  }
}

void IntervalMap::Set(GrainRange range, SourceIndex source) {
  CheckRange(range);
  if (range.count == 0) return;
  Erase(range);
  uint64_t first = range.first;
  uint64_t end = range.end();
  auto after = runs_.lower_bound(range.first);
  if (after != runs_.end() && after->first == end && SourceOf(after->second) == source) {
    end = EndOf(after->second);
    after = runs_.erase(after);
  }
  if (after != runs_.begin()) {
    const auto before = std::prev(after);
    if (EndOf(before->second) == first && SourceOf(before->second) == source) {
      before->second = Pack(end, source);
      return;
    }
  }
  runs_.emplace_hint(after, first, Pack(end, source));
}

void IntervalMap::Find(GrainRange range, std::vector<GrainRun>* out) const {
  CheckRange(range);
  if (range.count == 0) return;
  for (auto it = FirstEndingAfter(runs_, range.first); it != runs_.end() && it->first < range.end();
       ++it) {
    const uint64_t first = std::max(it->first, range.first);
    const uint64_t end = std::min(EndOf(it->second), range.end());
    out->push_back({{first, end - first}, SourceOf(it->second)});
  }
}

bool IntervalMap::Overlaps(GrainRange range) const {
  CheckRange(range);
  if (range.count == 0) return false;
  const auto it = FirstEndingAfter(runs_, range.first);
  return it != runs_.end() && it->first < range.end();
}

bool IntervalMap::FirstAfter(uint64_t grain, GrainRun* out) const {
  const auto it = FirstEndingAfter(runs_, grain);
  if (it == runs_.end()) return false;
  *out = {{it->first, EndOf(it->second) - it->first}, SourceOf(it->second)};
  return true;
}

}  // namespace atl
