// SPDX-License-Identifier: Apache-2.0
//
// Counters of one export, over all of its connections. Latency is from the moment when a request
// and its payload are here until its reply is ready to be sent.
//
// Threads: of the server's executor. Nothing is ever reset.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "peers/client/atoll.h"

namespace atl::nbd {

// Counts of durations in buckets that grow by a quarter of a power of two: a quantile is exact to
// one fifth.
class LatencyHistogram {
 public:
  void Add(int64_t duration_ns);
  // The upper end of the bucket in which it lies, at most the maximum; 0 if nothing was added.
  int64_t Quantile(double fraction) const;
  int64_t max_ns() const { return max_ns_; }

 private:
  static constexpr size_t kBuckets = 4 * 63;
  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0;
  int64_t max_ns_ = 0;
};

struct ExportStats {
  uint64_t reads = 0, writes = 0, others = 0, errors = 0;
  uint64_t read_bytes = 0, write_bytes = 0;
  uint64_t in_flight = 0;
  LatencyHistogram latency;

  // `command` as in protocol.h. Refused requests are counted too, without their bytes.
  void Count(uint16_t command, uint32_t length, bool failed, int64_t duration_ns);
  PortStats ToRow(std::string name) const;
};

}  // namespace atl::nbd
