// SPDX-License-Identifier: Apache-2.0
//
// `atoll trace` and `atoll top` of this node.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "peers/volumes/local_atoll.h"

namespace atl {
namespace {

nlohmann::json ToJson(const HopTimes& times) {
  nlohmann::json hops = nlohmann::json::array();
  for (size_t i = 0; i < kHops; ++i) {
    const LatencySnapshot snapshot = Take(times.of(static_cast<Hop>(i)));
    hops.push_back({{"hop", kHopNames[i]},
                    {"count", snapshot.count},
                    {"sum_ns", snapshot.sum_ns},
                    {"p50_ns", snapshot.PercentileNs(0.5)},
                    {"p99_ns", snapshot.PercentileNs(0.99)},
                    {"max_ns", snapshot.max_ns}});
  }
  return hops;
}

std::string ToTable(const std::string& name, const HopTimes& times) {
  std::string text = fmt::format("{}\n{:<12} {:>12} {:>10} {:>10} {:>10} {:>12}\n", name, "HOP",
                                 "COUNT", "P50 us", "P99 us", "MAX us", "TOTAL ms");
  for (size_t i = 0; i < kHops; ++i) {
    const LatencySnapshot snapshot = Take(times.of(static_cast<Hop>(i)));
    text += fmt::format("{:<12} {:>12} {:>10.1f} {:>10.1f} {:>10.1f} {:>12.1f}\n", kHopNames[i],
                        snapshot.count, static_cast<double>(snapshot.PercentileNs(0.5)) / 1e3,
                        static_cast<double>(snapshot.PercentileNs(0.99)) / 1e3,
                        static_cast<double>(snapshot.max_ns) / 1e3,
                        static_cast<double>(snapshot.sum_ns) / 1e6);
  }
  return text;
}

}  // namespace

Task<Result<Report>> LocalAtoll::Trace(std::string name, bool json) {
  const ResourceRef ref = ResourceRef::Named(name);
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(ref));
  const auto entry = table_.Find(found.header.header.uuid);
  if (entry == nullptr || entry->composer == nullptr) {
    co_return Status(Code::kNotFound,
                     fmt::format("{} is not open on this node, so nothing was traced", name));
  }
  const HopTimes& times = entry->composer->hops();
  Report report;
  report.text = json ? nlohmann::json{{"name", name},
                                      {"gate_ns", entry->composer->last_gate_ns()},
                                      {"hops", ToJson(times)}}
                           .dump(2)
                     : ToTable(name, times);
  co_return report;
}

Task<Result<std::vector<PortStats>>> LocalAtoll::Stats() {
  std::vector<PortStats> rows = stats_source_ ? stats_source_() : std::vector<PortStats>{};
  for (const auto& [uuid, entry] : table_.Snapshot()) {
    if (entry->composer == nullptr) continue;
    const HopTimes& times = entry->composer->hops();
    const LatencySnapshot reads = Take(times.of(Hop::kRead));
    const LatencySnapshot writes = Take(times.of(Hop::kWrite));
    const LatencySnapshot flushes = Take(times.of(Hop::kFlush));
    PortStats row;
    row.port = "composer";
    row.object = entry->composer->geometry().name;
    row.reads = reads.count;
    row.writes = writes.count;
    row.others = flushes.count;
    row.read_bytes = entry->composer->read_bytes();
    row.write_bytes = entry->composer->write_bytes();
    row.errors = entry->composer->errors();
    row.in_flight = entry->composer->in_flight();
    row.SetLatency(reads.With(writes).With(flushes));
    rows.push_back(std::move(row));
  }
  co_return rows;
}

}  // namespace atl
