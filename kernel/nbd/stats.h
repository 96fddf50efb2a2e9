// SPDX-License-Identifier: Apache-2.0
//
// Counters of one export, over all of its connections. Latency is from the moment when a request
// and its payload are here until its reply is ready to be sent.
//
// Threads: of the server's executor. Nothing is ever reset.
#pragma once

#include <cstdint>
#include <string>

#include "peers/client/port_stats.h"
#include "xseg/base/latency.h"

namespace atl::nbd {

struct ExportStats {
  uint64_t reads = 0, writes = 0, others = 0, errors = 0;
  uint64_t read_bytes = 0, write_bytes = 0;
  uint64_t in_flight = 0;
  LatencyHistogram latency{};

  // `command` as in protocol.h. Refused requests are counted too, without their bytes.
  void Count(uint16_t command, uint32_t length, bool failed, int64_t duration_ns);
  PortStats ToRow(std::string name) const;
};

}  // namespace atl::nbd
