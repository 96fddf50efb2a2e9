// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/stats.h"

#include <utility>

#include "kernel/nbd/protocol.h"

namespace atl::nbd {

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
  latency.Record(duration_ns);
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
  row.SetLatency(Take(latency));
  return row;
}

}  // namespace atl::nbd
