// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/size.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>

#include "xseg/base/units.h"

namespace atl {
namespace {

constexpr std::string_view kUnits = "KMGTPE";

// One digit behind the point where that says something.
std::string Short(double value) {
  return value < 9.95 && value != static_cast<int64_t>(value) ? fmt::format("{:.1f}", value)
                                                              : fmt::format("{:.0f}", value);
}

// The number of bits that the unit shifts by, or -1.
int ShiftOf(std::string_view unit) {
  if (unit.empty()) return 0;
  const size_t index = kUnits.find(static_cast<char>(std::toupper(unit[0])));
  if (index == std::string_view::npos) {
    return unit == "B" || unit == "b" ? 0 : -1;
  }
  const std::string_view rest = unit.substr(1);
  const bool known = rest.empty() || rest == "B" || rest == "b" || rest == "iB" || rest == "ib";
  return known ? static_cast<int>(10 * (index + 1)) : -1;
}

}  // namespace

Result<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const Status too_large(Code::kLimit, fmt::format("a size of {} is over 1 PiB", text));
  if (error == std::errc::result_out_of_range) return too_large;
  const int shift = ShiftOf({stop, static_cast<size_t>(end - stop)});
  if (error != std::errc() || shift < 0) {
    return Status(Code::kInvalid,
                  fmt::format("'{}' is not a size; write bytes, or 512K, 20M, 10G, 64T, 1P", text));
  }
  if (number > UINT64_MAX >> shift) return too_large;
  return number << shift;
}

std::string HumanSize(uint64_t bytes) {
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1024; value >= 1023.95 && unit + 1 < kUnits.size(); value /= 1024) ++unit;
  const std::string number = value < 99.95 && value != static_cast<int64_t>(value)
                                 ? fmt::format("{:.1f}", value)
                                 : fmt::format("{:.0f}", value);
  return fmt::format("{} {}iB", number, kUnits[unit]);
}

std::string HumanCount(double count) {
  constexpr std::array<std::string_view, 5> kSteps = {"", "k", "M", "G", "T"};
  size_t step = 0;
  for (; count >= 999.5 && step + 1 < kSteps.size(); count /= 1000) ++step;
  return Short(count) + std::string(kSteps[step]);
}

std::string HumanNs(int64_t ns) {
  constexpr std::array<std::string_view, 4> kSteps = {"ns", "us", "ms", "s"};
  double value = static_cast<double>(ns);
  size_t step = 0;
  for (; value >= 999.5 && step + 1 < kSteps.size(); value /= 1000) ++step;
  return Short(value) + " " + std::string(kSteps[step]);
}

std::string HumanUptime(int64_t ns) {
  const int64_t seconds = ns / kSecond;
  if (seconds >= 86400) return fmt::format("{}d {}h", seconds / 86400, seconds % 86400 / 3600);
  if (seconds >= 3600) return fmt::format("{}h {}m", seconds / 3600, seconds % 3600 / 60);
  if (seconds >= 60) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  return fmt::format("{}s", seconds);
}

std::string UtcTime(int64_t ns_since_epoch) {
  if (ns_since_epoch <= 0) return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(ns_since_epoch / kSecond)));
}

}  // namespace atl
