// SPDX-License-Identifier: Apache-2.0
//
// Counters and latency histograms of a port, in the segment (docs/LAYOUT.md, "Metrics"). Written by
// the thread that owns the port and by nobody else, so counting is a plain addition; read by
// anybody at any time, without stopping anything: a snapshot may be a few events apart in its
// fields.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "xseg/base/latency.h"
#include "xseg/base/relaxed.h"
#include "xseg/slot.h"

namespace atl {

// Ops 0..14 are counted one by one, all others together in the last class.
inline constexpr int kOpClasses = 16;
constexpr int OpClassOf(uint16_t op) { return op < kOpClasses - 1 ? op : kOpClasses - 1; }

// One direction of a port: what it sent, or what it served.
struct PortTraffic {
  Relaxed<uint64_t> requests[kOpClasses];
  Relaxed<uint64_t> errors[kOpClasses];
  Relaxed<uint64_t> bytes;     // Of buffers.
  Relaxed<uint64_t> finished;  // In flight is the sum of requests less this.
  Relaxed<uint64_t> reserved[6];
  LatencyHistogram latency;

  void Started(uint16_t op, uint32_t buffer_bytes) {
    requests[OpClassOf(op)].Add(1);
    bytes.Add(buffer_bytes);
  }
  void Finished(uint16_t op, bool error, int64_t duration_ns) {
    finished.Add(1);
    if (error) errors[OpClassOf(op)].Add(1);
    latency.Record(duration_ns);
  }
};
static_assert(sizeof(PortTraffic) == 2304);
static_assert(offsetof(PortTraffic, errors) == 128);
static_assert(offsetof(PortTraffic, bytes) == 256);
static_assert(offsetof(PortTraffic, finished) == 264);
static_assert(offsetof(PortTraffic, latency) == 320);

struct alignas(kCacheLine) PortMetrics {
  PortTraffic sent;           // Submit to Collect.
  PortTraffic served;         // Accept to Respond.
  Relaxed<uint64_t> refused;  // Prepare found no slot.
  Relaxed<uint64_t> sleeps;
  Relaxed<uint64_t> reserved[6];
};
static_assert(sizeof(PortMetrics) == 4672);
static_assert(offsetof(PortMetrics, served) == 2304);
static_assert(offsetof(PortMetrics, refused) == 4608);
static_assert(offsetof(PortMetrics, sleeps) == 4616);

// A copy in private memory.
struct TrafficSnapshot {
  std::array<uint64_t, kOpClasses> requests{};
  std::array<uint64_t, kOpClasses> errors{};
  uint64_t bytes = 0;
  uint64_t in_flight = 0;
  LatencySnapshot latency;

  uint64_t total_requests() const;
  uint64_t total_errors() const;
};
TrafficSnapshot Take(const PortTraffic& traffic);

}  // namespace atl
