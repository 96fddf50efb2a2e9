// SPDX-License-Identifier: Apache-2.0
#include "xseg/metrics.h"

#include <numeric>

namespace atl {

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
