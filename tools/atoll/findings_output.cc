// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/findings_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/atoll/size.h"

namespace atl {
namespace {

std::string Plural(uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string LineOf(const Finding& finding) {
  std::string where = finding.resource;
  if (where.empty()) where = finding.store.empty() ? "node" : "store " + finding.store;
  const std::string_view end = finding.repaired     ? " (repaired)"
                               : finding.repairable ? " (--repair can help)"
                                                    : "";
  std::string line =
      fmt::format("{}: {}: {}{}", ToString(finding.severity), where, finding.what, end);
  // One line each, whatever is in a message.
  std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20; }, ' ');
  return line + "\n";
}

}  // namespace

Json JsonOf(const CheckReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"severity", ToString(finding.severity)},
                        {"store", finding.store},
                        {"resource", finding.resource},
                        {"what", finding.what},
                        {"repairable", finding.repairable},
                        {"repaired", finding.repaired}});
  }
  const GarbageCount& found = report.garbage;
  Json garbage = nullptr;
  if (found.known) {
    garbage = {{"blobs", found.blobs},
               {"logs", found.logs},
               {"records", found.records},
               {"leftovers", found.leftovers},
               {"bytes", found.bytes}};
  }
  return {{"resources", report.resources}, {"records", report.records},   {"nodes", report.nodes},
          {"journals", report.journals},   {"blobs", report.blobs},       {"errors", report.errors},
          {"notes", report.notes},         {"repaired", report.repaired}, {"garbage", garbage},
          {"findings", findings}};
}

std::string TextOf(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += LineOf(finding);
  const uint64_t found = report.errors + report.notes + report.repaired;
  if (found > report.findings.size()) {
    text += fmt::format("... and {} more\n", found - report.findings.size());
  }
  text += fmt::format("checked: {}, {}, {}, {}, {}\n", Plural(report.resources, "resource"),
                      Plural(report.records, "record"), Plural(report.nodes, "map node"),
                      Plural(report.journals, "journal"), Plural(report.blobs, "blob"));
  text +=
      fmt::format("found: {}, {}", Plural(report.errors, "error"), Plural(report.notes, "note"));
  if (report.repaired > 0) text += fmt::format(", {} repaired", report.repaired);
  text += "\n";
  const GarbageCount& garbage = report.garbage;
  if (garbage.known) {
    text += fmt::format("garbage: {}, {}, {}, {}, {}\n", Plural(garbage.blobs, "blob"),
                        Plural(garbage.logs, "log"), Plural(garbage.records, "record"),
                        Plural(garbage.leftovers, "leftover"), HumanSize(garbage.bytes));
  }
  return text;
}

Status StatusOf(const CheckReport& report) {
  if (report.errors == 0) return {};
  return {Code::kCorrupt, Plural(report.errors, "error")};
}

}  // namespace atl
