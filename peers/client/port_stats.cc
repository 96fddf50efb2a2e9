// SPDX-License-Identifier: Apache-2.0
#include "peers/client/port_stats.h"

namespace atl {

void PortStats::SetLatency(const LatencySnapshot& snapshot) {
  latency.clear();
  for (int i = 0; i < kLatencyBuckets; ++i) {
    if (snapshot.buckets[i] == 0) continue;
    latency.push_back({static_cast<uint16_t>(i), snapshot.buckets[i]});
  }
  max_ns = snapshot.max_ns;
}

LatencySnapshot PortStats::Latency() const {
  LatencySnapshot snapshot;
  for (const LatencyCount& item : latency) {
    if (item.bucket >= kLatencyBuckets) continue;
    snapshot.buckets[item.bucket] += item.count;
    snapshot.count += item.count;
  }
  snapshot.max_ns = max_ns;
  return snapshot;
}

}  // namespace atl
