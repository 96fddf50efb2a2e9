// SPDX-License-Identifier: Apache-2.0
#include "tools/node/segment_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "xseg/inspect.h"

namespace atl {
namespace {

std::string ToTable(const SegmentReport& report) {
  std::string text = fmt::format(
      "segment {}, {} MiB\n{:<24} {:>8} {:>8} {:>7} {:>7} {:>7} {:>12} "
      "{:>12}\n",
      report.uuid.ToString(), report.total_bytes >> 20, "PORT", "STATE", "PID", "OUT", "WAITING",
      "HOLDING", "SENT", "SERVED");
  for (const PortReport& port : report.ports) {
    uint32_t out = 0;
    for (int state = 1; state < kSlotStates; ++state) out += port.slots[static_cast<size_t>(state)];
    text += fmt::format("{:<24} {:>8} {:>8} {:>7} {:>7} {:>7} {:>12} {:>12}\n", port.name,
                        port.state, port.pid, out, port.waiting, port.holding,
                        port.sent.latency.count, port.served.latency.count);
  }
  if (!report.stuck.empty()) text += fmt::format("{} requests are stuck\n", report.stuck.size());
  return text;
}

}  // namespace

Report ReportSegment(const Segment& segment, bool json) {
  const SegmentReport report = Inspect(segment, {});
  return {json ? ToJson(report).dump(2) : ToTable(report), true};
}

Report CheckSegmentFor(const Segment& segment, bool json) {
  const std::vector<std::string> findings = CheckSegment(segment, {});
  Report report;
  report.good = findings.empty();
  if (json) {
    report.text = nlohmann::json{{"placement", "isolated"}, {"problems", findings}}.dump(2);
  } else if (findings.empty()) {
    report.text = "The segment is in order.\n";
  }
  if (!json) {
    for (const std::string& finding : findings) report.text += finding + "\n";
  }
  return report;
}

}  // namespace atl
