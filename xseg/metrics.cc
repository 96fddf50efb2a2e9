// SPDX-License-Identifier: Apache-2.0
#include "xseg/metrics.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace atl {

int BucketOf(int64_t duration_ns) {
  if (duration_ns < (int64_t{1} << kFirstOctave)) return 0;
  if (duration_ns >= (int64_t{1} << kLastOctave)) return kLatencyBuckets - 1;
  const int octave = 63 - std::countl_zero(static_cast<uint64_t>(duration_ns));
  const int step = static_cast<int>(duration_ns >> (octave - 3)) & (kBucketsPerOctave - 1);
  return 1 + (octave - kFirstOctave) * kBucketsPerOctave + step;
}

int64_t BucketFloorNs(int bucket) {
  if (bucket <= 0) return 0;
  if (bucket >= kLatencyBuckets - 1) return int64_t{1} << kLastOctave;
  const int octave = kFirstOctave + (bucket - 1) / kBucketsPerOctave;
  const int step = (bucket - 1) % kBucketsPerOctave;
  return (int64_t{kBucketsPerOctave} + step) << (octave - 3);
}

void LatencyHistogram::Record(int64_t duration_ns) {
  const int64_t ns = std::max<int64_t>(duration_ns, 0);
  sum_ns.Add(static_cast<uint64_t>(ns));
  if (static_cast<uint64_t>(ns) > max_ns.Load()) max_ns.Store(static_cast<uint64_t>(ns));
  buckets[BucketOf(ns)].Add(1);
}

int64_t LatencySnapshot::PercentileNs(double fraction) const {
  if (count == 0) return 0;
  const auto wanted = static_cast<uint64_t>(fraction * static_cast<double>(count));
  uint64_t seen = 0;
  for (int i = 0; i < kLatencyBuckets; ++i) {
    seen += buckets[i];
    if (seen > wanted || seen == count) return BucketFloorNs(i);
  }
  return BucketFloorNs(kLatencyBuckets - 1);
}

LatencySnapshot LatencySnapshot::Since(const LatencySnapshot& earlier) const {
  LatencySnapshot out = *this;
  out.count -= earlier.count;
  out.sum_ns -= earlier.sum_ns;
  for (int i = 0; i < kLatencyBuckets; ++i) out.buckets[i] -= earlier.buckets[i];
  return out;
}

LatencySnapshot Take(const LatencyHistogram& histogram) {
  LatencySnapshot out;
  for (int i = 0; i < kLatencyBuckets; ++i) {
    out.buckets[i] = histogram.buckets[i].Load();
    out.count += out.buckets[i];
  }
  out.sum_ns = histogram.sum_ns.Load();
  out.max_ns = histogram.max_ns.Load();
  return out;
}

uint64_t TrafficSnapshot::total_requests() const {
  return std::accumulate(requests.begin(), requests.end(), uint64_t{0});
}
uint64_t TrafficSnapshot::total_errors() const {
  return std::accumulate(errors.begin(), errors.end(), uint64_t{0});
}

TrafficSnapshot Take(const PortTraffic& traffic) {
  TrafficSnapshot out;
  const uint64_t finished = traffic.finished.Load();
  for (int i = 0; i < kOpClasses; ++i) {
    out.requests[i] = traffic.requests[i].Load();
    out.errors[i] = traffic.errors[i].Load();
  }
  out.bytes = traffic.bytes.Load();
  const uint64_t started = out.total_requests();
  out.in_flight = started > finished ? started - finished : 0;
  out.latency = Take(traffic.latency);
  return out;
}

}  // namespace atl
