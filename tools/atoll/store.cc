// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

Row StoreRow(const StoreState& store) {
  const std::string uuid = store.uuid.is_zero() ? "" : store.uuid.ToString();
  return {
      TextCell("name", store.name),
      TextCell("driver", store.driver),
      {"default", store.is_default, store.is_default ? "yes" : "no"},
      TextCell("state", store.state),
      SizeCell("total", store.total_bytes),
      SizeCell("free", store.free_bytes),
      SizeCell("reserve", store.reserve_bytes),
      TextCell("location", store.location),
      DetailCell("uuid", uuid, uuid),
      DetailCell("capabilities", store.capabilities,
                 fmt::format("{}", fmt::join(store.capabilities, ", "))),
  };
}

}  // namespace

Task<Status> StoreList(Context& context) {
  CO_ASSIGN_OR_RETURN(const auto stores, co_await context.node().Stores());
  std::vector<Row> rows;
  for (const StoreState& store : stores) {
    if (context.Flag("quiet")) Print(store.name + "\n");
    rows.push_back(StoreRow(store));
  }
  if (!context.Flag("quiet")) Print(RenderList(context.format(), StoreRow({}), rows));
  co_return Status();
}

Task<Status> StoreShow(Context& context) {
  CO_ASSIGN_OR_RETURN(const auto stores, co_await context.node().Stores());
  for (const StoreState& store : stores) {
    if (store.name != context.Value("NAME")) continue;
    Print(RenderOne(context.format(), StoreRow(store)));
    co_return Status();
  }
  co_return Status(Code::kNotFound,
                   fmt::format("store {}: the node has none of this name", context.Value("NAME")));
}

Task<Status> CollectGarbage(Context& context) {
  const bool dry_run = context.Flag("dry-run");
  auto report = co_await context.node().CollectGarbage(dry_run);
  if (!report.ok()) co_return report.status().With("gc");
  if (context.format() == Format::kTable) {
    for (const std::string& item : report->items) Print(item + "\n");
  }
  Json json{{"dry_run", dry_run},
            {"blobs", report->blobs},
            {"logs", report->logs},
            {"records", report->records},
            {"leftovers", report->leftovers},
            {"freed_bytes", report->freed_bytes},
            {"items", report->items}};
  const std::string said =
      fmt::format("{}: {} blobs, {} logs, {} records, {} leftovers, {}",
                  dry_run ? "would go" : "removed", report->blobs, report->logs, report->records,
                  report->leftovers, HumanSize(report->freed_bytes));
  Print(RenderSaid(context.format(), said, json));
  co_return Status();
}

}  // namespace atl
