// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/verbs.h"

namespace atl {
namespace {

Task<Status> PrintReport(Context& context, ReportSpec spec) {
  spec.json = context.format() == Format::kJson;
  const std::string name = spec.name;
  auto report = co_await context.node().GetReport(std::move(spec));
  if (!report.ok()) co_return About(report.status(), name, context.Value("NAME"));
  if (!report->text.empty() && !report->text.ends_with('\n')) report->text += '\n';
  Print(report->text);
  if (report->good) co_return Status();
  co_return Status(Code::kCorrupt, fmt::format("{}: not everything is as it should be", name));
}

}  // namespace

Task<Status> SegmentReport(Context& context) {
  ReportSpec spec{.name = "segment report"};
  return PrintReport(context, std::move(spec));
}

Task<Status> SegmentCheck(Context& context) {
  ReportSpec spec{.name = "segment check"};
  return PrintReport(context, std::move(spec));
}

Task<Status> TraceVolume(Context& context) {
  ReportSpec spec{.name = "trace", .argument = context.Value("NAME")};
  return PrintReport(context, std::move(spec));
}

}  // namespace atl
