// SPDX-License-Identifier: Apache-2.0
//
// Histograms of durations. One is written by one thread, so that counting is a plain addition, and
// read by anybody at any time, also in shared memory (docs/LAYOUT.md, "Metrics"): a snapshot may be
// a few events apart in its fields. Nothing is ever reset; what happened in an interval is the
// difference of two snapshots.
//
// A histogram is log-linear: 8 buckets for each power of two from 128 ns to 137 s, so a bucket is
// at most 1/8 wider than its lower bound; one bucket is for less and one for more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "xseg/base/relaxed.h"

namespace atl {

inline constexpr int kFirstOctave = 7;  // 128 ns.
inline constexpr int kLastOctave = 37;  // 137 s and more are one bucket.
inline constexpr int kBucketsPerOctave = 8;
inline constexpr int kLatencyBuckets = (kLastOctave - kFirstOctave) * kBucketsPerOctave + 2;

int BucketOf(int64_t duration_ns);
// The lowest duration of a bucket.
int64_t BucketFloorNs(int bucket);

struct LatencyHistogram {
  Relaxed<uint64_t> sum_ns;
  Relaxed<uint64_t> max_ns;
  Relaxed<uint64_t> buckets[kLatencyBuckets];
  Relaxed<uint64_t> reserved[4];

  void Record(int64_t duration_ns);
};
static_assert(sizeof(LatencyHistogram) == 1984);
static_assert(offsetof(LatencyHistogram, max_ns) == 8);
static_assert(offsetof(LatencyHistogram, buckets) == 16);
static_assert(offsetof(LatencyHistogram, reserved) == 1952);

// A copy in private memory.
struct LatencySnapshot {
  uint64_t count = 0;
  uint64_t sum_ns = 0;
  uint64_t max_ns = 0;
  std::array<uint64_t, kLatencyBuckets> buckets{};

  // The floor of the bucket in which the `fraction` (0 to 1) lies, ns; 0 if nothing was counted.
  int64_t PercentileNs(double fraction) const;
  // What happened since `earlier` of the same histogram, or all of it if that began anew meanwhile;
  // the maximum stays that of all time.
  LatencySnapshot Since(const LatencySnapshot& earlier) const;
  // What is in either.
  LatencySnapshot With(const LatencySnapshot& other) const;
};
LatencySnapshot Take(const LatencyHistogram& histogram);

}  // namespace atl
