// SPDX-License-Identifier: Apache-2.0
//
// One row of `atoll top`: what a port has done for one object since it began. Whoever wants rates
// takes two looks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "xseg/base/latency.h"

namespace atl {

struct LatencyCount {
  uint16_t bucket = 0;  // Of a histogram (xseg/base/latency.h).
  uint64_t count = 0;
};

struct PortStats {
  std::string port;    // "nbd", "composer", "store default", ...
  std::string object;  // A volume's name, or empty.
  uint64_t reads = 0, writes = 0, others = 0, errors = 0;
  uint64_t read_bytes = 0, write_bytes = 0;
  uint64_t in_flight = 0;
  // Of the requests that have ended: the buckets that are not empty, for there are many rows.
  std::vector<LatencyCount> latency;
  uint64_t max_ns = 0;

  void SetLatency(const LatencySnapshot& snapshot);
  // Without the sum. Buckets that there are not are left out: the row may come from anybody.
  LatencySnapshot Latency() const;
};

}  // namespace atl
