// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/stats.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "kernel/nbd/protocol.h"

namespace atl::nbd {
namespace {

// Durations below 4 ns have a bucket each, then every power of two has four.
size_t BucketOf(uint64_t ns) {
  if (ns < 4) return ns;
  const int power = std::bit_width(ns) - 1;
  return static_cast<size_t>(power - 1) * 4 + ((ns >> (power - 2)) & 3);
}

int64_t UpperEnd(size_t bucket) {
  if (bucket < 4) return static_cast<int64_t>(bucket);
  const size_t power = bucket / 4 + 1;
  const uint64_t low = (4 + bucket % 4) << (power - 2);
  return static_cast<int64_t>(low + (1ull << (power - 2)) - 1);
}

}  // namespace

void LatencyHistogram::Add(int64_t duration_ns) {
  duration_ns = std::max<int64_t>(duration_ns, 0);
  ++counts_[std::min(BucketOf(static_cast<uint64_t>(duration_ns)), kBuckets - 1)];
  ++total_;
  max_ns_ = std::max(max_ns_, duration_ns);
}

int64_t LatencyHistogram::Quantile(double fraction) const {
  if (total_ == 0) return 0;
  const auto rank = static_cast<uint64_t>(fraction * static_cast<double>(total_ - 1)) + 1;
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(UpperEnd(i), max_ns_);
  }
  return max_ns_;
}

void ExportStats::Count(uint16_t command, uint32_t length, bool failed, int64_t duration_ns) {
  if (failed) ++errors;
  if (command == kCmdRead) {
    ++reads;
    if (!failed) read_bytes += length;
  } else if (command == kCmdWrite) {
    ++writes;
    if (!failed) write_bytes += length;
  } else {
    ++others;
  }
  latency.Add(duration_ns);
}

PortStats ExportStats::ToRow(std::string name) const {
  PortStats row;
  row.port = "nbd";
  row.object = std::move(name);
  row.reads = reads;
  row.writes = writes;
  row.others = others;
  row.errors = errors;
  row.read_bytes = read_bytes;
  row.write_bytes = write_bytes;
  row.in_flight = in_flight;
  row.p50_ns = latency.Quantile(0.50);
  row.p99_ns = latency.Quantile(0.99);
  row.max_ns = latency.max_ns();
  return row;
}

}  // namespace atl::nbd
