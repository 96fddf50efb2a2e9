// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/latency.h"

#include <algorithm>
#include <bit>

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
  for (int i = 0; i < kLatencyBuckets; ++i) {
    if (buckets[i] < earlier.buckets[i]) return *this;
  }
  LatencySnapshot out = *this;
  out.count -= earlier.count;
  out.sum_ns -= earlier.sum_ns;
  for (int i = 0; i < kLatencyBuckets; ++i) out.buckets[i] -= earlier.buckets[i];
  return out;
}

LatencySnapshot LatencySnapshot::With(const LatencySnapshot& other) const {
  LatencySnapshot out = *this;
  out.count += other.count;
  out.sum_ns += other.sum_ns;
  out.max_ns = std::max(max_ns, other.max_ns);
  for (int i = 0; i < kLatencyBuckets; ++i) out.buckets[i] += other.buckets[i];
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

}  // namespace atl
