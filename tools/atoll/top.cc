// SPDX-License-Identifier: Apache-2.0
//
// `atoll top`: the counters of all ports, and what they grew by between two looks. Latencies are
// those of the requests that ended in between; the errors are counted from the beginning.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <utility>

#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

constexpr double kLongestIntervalSeconds = 3600;

using PortKey = std::pair<std::string, std::string>;
using Look = std::map<PortKey, PortStats>;

Look LookOf(std::vector<PortStats> rows) {
  Look look;
  for (PortStats& row : rows) {
    PortKey key{row.port, row.object};
    look.emplace(std::move(key), std::move(row));
  }
  return look;
}

Cell LatencyCell(std::string key, int64_t ns) {
  return {std::move(key), ns, HumanNs(ns), Align::kRight};
}
Cell RateCell(std::string key, double rate) {
  return {std::move(key), rate, HumanCount(rate), Align::kRight};
}
Cell SpeedCell(std::string key, double rate) {
  return {std::move(key), rate, HumanSize(static_cast<uint64_t>(rate)), Align::kRight};
}
Cell BytesCell(std::string key, uint64_t bytes) { return SizeCell(std::move(key), bytes); }

void AddCommon(Row& row, const PortStats& now, const LatencySnapshot& latency, int64_t max_ns) {
  row.push_back(CountCell("in_flight", now.in_flight));
  row.push_back(LatencyCell("p50_ns", latency.PercentileNs(0.5)));
  row.push_back(LatencyCell("p99_ns", latency.PercentileNs(0.99)));
  row.push_back(LatencyCell("max_ns", max_ns));
  row.push_back(CountCell("errors", now.errors));
}

Row TotalsRow(const PortStats& now) {
  Row row = {TextCell("port", now.port),
             TextCell("object", now.object),
             CountCell("reads", now.reads),
             CountCell("writes", now.writes),
             CountCell("others", now.others),
             BytesCell("read_bytes", now.read_bytes),
             BytesCell("write_bytes", now.write_bytes)};
  AddCommon(row, now, now.Latency(), static_cast<int64_t>(now.max_ns));
  return row;
}

// Counters of a peer that was restarted begin anew: then they are what they grew by.
double Rate(uint64_t now, uint64_t before, double seconds) {
  return static_cast<double>(now >= before ? now - before : now) / seconds;
}

Row RatesRow(const PortStats& now, const PortStats& before, double seconds) {
  Row row = {TextCell("port", now.port),
             TextCell("object", now.object),
             RateCell("reads_per_s", Rate(now.reads, before.reads, seconds)),
             RateCell("writes_per_s", Rate(now.writes, before.writes, seconds)),
             RateCell("others_per_s", Rate(now.others, before.others, seconds)),
             SpeedCell("read_per_s", Rate(now.read_bytes, before.read_bytes, seconds)),
             SpeedCell("written_per_s", Rate(now.write_bytes, before.write_bytes, seconds))};
  const LatencySnapshot latency = now.Latency().Since(before.Latency());
  AddCommon(row, now, latency, latency.PercentileNs(1));
  return row;
}

std::vector<Row> Rates(const Look& now, const Look& before, double seconds) {
  std::vector<Row> rows;
  for (const auto& [key, stats] : now) {
    const auto earlier = before.find(key);
    rows.push_back(
        RatesRow(stats, earlier == before.end() ? PortStats{} : earlier->second, seconds));
  }
  return rows;
}

template <typename T>
Result<T> Number(Context& context, std::string_view option, T fallback, T low, T high) {
  if (!context.Has(option)) return fallback;
  const std::string& text = context.Value(option);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= low && value <= high) {
    return value;
  }
  return context.WrongUsage(
      Status(Code::kInvalid,
             fmt::format("--{}: '{}' is not a number from {} to {}", option, text, low, high)));
}

Task<Status> PrintOnce(Context& context) {
  CO_ASSIGN_OR_RETURN(const auto stats, co_await context.node().Stats());
  std::vector<Row> rows;
  rows.reserve(stats.size());
  for (const PortStats& row : stats) rows.push_back(TotalsRow(row));
  Print(RenderList(context.format(), TotalsRow({}), rows));
  co_return Status();
}

// A terminal shows the newest look only; into a pipe they go one after the other.
void Show(const Context& context, const std::vector<Row>& rows) {
  std::string text = RenderList(context.format(), RatesRow({}, {}, 1), rows);
  if (context.format() == Format::kTable && isatty(STDOUT_FILENO) == 1) {
    text = "\x1b[H\x1b[J" + text;
  }
  Print(text);
}

// Whether there is still somebody to look at it; RunAtoll says why not.
bool IsSeen() { return OutputStatus().ok(); }

}  // namespace

Task<Status> Top(Context& context) {
  if (context.Flag("once")) co_return co_await PrintOnce(context);
  CO_ASSIGN_OR_RETURN(const double interval,
                      Number(context, "interval", 1.0, 0.01, kLongestIntervalSeconds));
  CO_ASSIGN_OR_RETURN(const int64_t count,
                      Number<int64_t>(context, "count", INT64_MAX, 1, INT64_MAX));
  CO_ASSIGN_OR_RETURN(auto first, co_await context.node().Stats());
  Look before = LookOf(std::move(first));
  int64_t looked_ns = context.executor().BootNs();
  for (int64_t i = 0; i < count; ++i) {
    co_await context.executor().Sleep(static_cast<int64_t>(interval * kSecond));
    CO_ASSIGN_OR_RETURN(auto next, co_await context.node().Stats());
    const int64_t now_ns = context.executor().BootNs();
    Look now = LookOf(std::move(next));
    Show(context, Rates(now, before, static_cast<double>(now_ns - looked_ns) / kSecond));
    if (!IsSeen()) break;
    before = std::move(now);
    looked_ns = now_ns;
  }
  co_return Status();
}

}  // namespace atl
