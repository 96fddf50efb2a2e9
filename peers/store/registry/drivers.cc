// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "peers/store/checksum/checksum_store.h"
#include "peers/store/file/file_store.h"
#include "peers/store/filter/checked_filter.h"
#include "peers/store/filter/delay_filter.h"
#include "peers/store/filter/error_filter.h"
#include "peers/store/filter/null_filter.h"
#include "peers/store/memory/memory_store.h"
#include "peers/store/registry.h"
#include "peers/store/registry/options.h"

namespace atl {
namespace {

using OpenedStore = Result<std::unique_ptr<Store>>;

struct OpenContext {
  const StoreSpec& config;
  Executor& executor;
  bool create;
};

// --- Drivers: a new one is a row and a function like these --------------------------------------

// `generation` of the checksums.
std::unique_ptr<Store> WithChecksums(const OpenContext& context, std::unique_ptr<Store> store,
                                     uint64_t generation) {
  return std::make_unique<ChecksumStore>(context.executor, std::move(store),
                                         ChecksumOptions{.generation = generation});
}

OpenedStore OpenFileStore(const OpenContext& context, const FileStoreOptions& options) {
  ASSIGN_OR_RETURN(auto store, FileStore::Open(context.executor, options));
  if (!options.sums) return std::unique_ptr<Store>(std::move(store));
  const uint64_t generation = store->sums_generation();
  return WithChecksums(context, std::move(store), generation);
}

OpenedStore OpenMemory(const OpenContext& context, StoreOptions& options) {
  const MemoryWorldOptions world{
      // Nothing here outlives the process anyway, so nothing is kept twice.
      .durable_at_ack = options.Flag("durable_at_ack", true),
      .capacity_bytes = options.Number("capacity", kTiB),
      .reserve_bytes = options.Number("reserve", 64 * kMiB),
      .seed = options.Number("seed", 1)};
  const bool sums = options.Flag("checksum", false);
  RETURN_IF_ERROR(options.Finish());
  if (!context.config.memory_place.empty()) {
    // In a file system in memory, which outlives the process.
    return OpenFileStore(context, {.name = context.config.name,
                                   .path = context.config.memory_place,
                                   .create = true,
                                   .reserve_bytes = world.reserve_bytes,
                                   .sums = sums,
                                   .in_memory = true});
  }
  std::unique_ptr<Store> store = std::make_unique<MemoryStore>(
      context.executor,
      MemoryStoreOptions{
          .name = context.config.name, .world = context.config.memory_world, .own_world = world});
  return sums ? WithChecksums(context, std::move(store), 1) : std::move(store);
}

OpenedStore OpenFile(const OpenContext& context, StoreOptions& options) {
  const FileStoreOptions file{
      .name = context.config.name,
      .path = options.Text("path", ""),
      .create = context.create,
      .reserve_bytes = options.Number("reserve", SpaceReserve::kDefaultBytes),
      .max_open_files = options.Number("max_open_files", FileStoreOptions::kDefaultOpenFiles),
      .direct = options.Flag("direct", false),
      .witnesses = context.config.witnesses,
      .sums = options.Flag("checksum", false)};
  if (file.path.empty()) options.Fail("path", {Code::kInvalid, "a file store needs one"});
  RETURN_IF_ERROR(options.Finish());
  return OpenFileStore(context, file);
}

struct DriverRow {
  std::string_view name;
  OpenedStore (*open)(const OpenContext& context, StoreOptions& options);
};
constexpr DriverRow kDrivers[] = {{"file", OpenFile}, {"memory", OpenMemory}};

// --- Filters -------------------------------------------------------------------------------------

StoreOpSet Ops(StoreOptions& options) {
  const auto ops = ParseStoreOps(options.Text("ops", "all"));
  if (ops.ok()) return *ops;
  options.Fail("ops", ops.status());
  return {};
}

Code ErrorCode(StoreOptions& options) {
  const std::string name = options.Text("code", std::string(RowOf(Code::kIo).name));
  for (int i = 1; i < kCodeCount; ++i) {
    if (RowOf(static_cast<Code>(i)).name == name) return static_cast<Code>(i);
  }
  options.Fail("code", {Code::kInvalid, fmt::format("no error is called '{}'", name)});
  return Code::kIo;
}

FailWhen When(StoreOptions& options) {
  const std::string when = options.Text("when", "before");
  if (when == "after") return FailWhen::kAfter;
  if (when == "either") return FailWhen::kEither;
  if (when != "before") options.Fail("when", {Code::kInvalid, "before, after or either"});
  return FailWhen::kBefore;
}

OpenedStore AddError(const OpenContext&, StoreOptions& options, std::unique_ptr<Store> below) {
  const ErrorFilterOptions error{
      .code = ErrorCode(options),
      .ops = Ops(options),
      .per_million = static_cast<uint32_t>(options.Number("per_million", 0)),
      .nth = options.Number("nth", 0),
      .when = When(options),
      .seed = options.Number("seed", 1)};
  RETURN_IF_ERROR(options.Finish());
  return std::unique_ptr<Store>(std::make_unique<ErrorFilter>(std::move(below), error));
}

OpenedStore AddDelay(const OpenContext& context, StoreOptions& options,
                     std::unique_ptr<Store> below) {
  const auto us = [&](const char* name, uint64_t otherwise) {
    return static_cast<int64_t>(options.Number(name, otherwise)) * kMicrosecond;
  };
  const DelayFilterOptions delay{
      .min_ns = us("min_us", 0), .max_ns = us("max_us", 1'000), .ops = Ops(options)};
  if (delay.min_ns > delay.max_ns) {
    options.Fail("min_us", {Code::kInvalid, "it is more than max_us"});
  }
  RETURN_IF_ERROR(options.Finish());
  return std::unique_ptr<Store>(
      std::make_unique<DelayFilter>(context.executor, std::move(below), delay));
}

OpenedStore AddChecked(const OpenContext&, StoreOptions& options, std::unique_ptr<Store> below) {
  RETURN_IF_ERROR(options.Finish());
  return std::unique_ptr<Store>(std::make_unique<CheckedFilter>(std::move(below)));
}

OpenedStore AddNull(const OpenContext&, StoreOptions& options, std::unique_ptr<Store> below) {
  RETURN_IF_ERROR(options.Finish());
  return std::unique_ptr<Store>(std::make_unique<NullFilter>(std::move(below)));
}

struct FilterRow {
  std::string_view name;
  OpenedStore (*add)(const OpenContext& context, StoreOptions& options,
                     std::unique_ptr<Store> below);
};
constexpr FilterRow kFilters[] = {
    {"checked", AddChecked}, {"delay", AddDelay}, {"error", AddError}, {"null", AddNull}};

template <typename Row, size_t N>
std::vector<std::string> Names(const Row (&rows)[N]) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

template <typename Row, size_t N>
Result<Row> FindRow(const Row (&rows)[N], std::string_view name, const std::string& what) {
  for (const Row& row : rows) {
    if (row.name == name) return row;
  }
  return Status(Code::kInvalid, fmt::format("{} '{}' is unknown; there are: {}", what, name,
                                            fmt::join(Names(rows), ", ")));
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

// An option behind the name of a filter that is not in use would do nothing, silently.
Status CheckPrefixes(const StoreSpec& config, const std::vector<std::string>& filters) {
  for (const auto& [name, value] : config.options) {
    const size_t dot = name.find('.');
    if (dot == std::string::npos) continue;
    if (std::find(filters.begin(), filters.end(), name.substr(0, dot)) == filters.end()) {
      return {Code::kInvalid, fmt::format("store {}: option '{}' is for a filter that is not used",
                                          config.name, name)};
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Store>> OpenStore(const StoreSpec& config, Executor& executor, bool create) {
  const std::string what = fmt::format("store {}", config.name);
  const OpenContext context{config, executor, create};
  ASSIGN_OR_RETURN(const DriverRow driver, FindRow(kDrivers, config.driver, what + ": driver"));
  StoreOptions options(config.options, "", what);
  const std::vector<std::string> filters = SplitAtCommas(options.Text("filters", ""));
  std::vector<FilterRow> rows;
  for (const std::string& filter : filters) {
    ASSIGN_OR_RETURN(const FilterRow row, FindRow(kFilters, filter, what + ": filter"));
    rows.push_back(row);
  }
  RETURN_IF_ERROR(CheckPrefixes(config, filters));
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store, driver.open(context, options));
  // The first one named is outermost.
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    StoreOptions filter_options(config.options, fmt::format("{}.", row->name), what);
    ASSIGN_OR_RETURN(store, row->add(context, filter_options, std::move(store)));
  }
  return store;
}

std::vector<std::string> StoreDrivers() { return Names(kDrivers); }
std::vector<std::string> StoreFilters() { return Names(kFilters); }

}  // namespace atl
