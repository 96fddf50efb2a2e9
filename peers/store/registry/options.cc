// SPDX-License-Identifier: Apache-2.0
#include "peers/store/registry/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "xseg/base/units.h"

namespace atl {
namespace {

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0, unit = 1;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  if (suffix == "K") unit = kKiB;
  if (suffix == "M") unit = kMiB;
  if (suffix == "G") unit = kGiB;
  if (suffix == "T") unit = kTiB;
  if (!suffix.empty() && unit == 1) return std::nullopt;
  if (number > std::numeric_limits<uint64_t>::max() / unit) return std::nullopt;
  return number * unit;
}

}  // namespace

StoreOptions::StoreOptions(const std::map<std::string, std::string>& all, std::string prefix,
                           std::string what)
    : prefix_(std::move(prefix)), what_(std::move(what)) {
  for (const auto& [name, value] : all) {
    // Without a prefix: those without a dot.
    if (prefix_.empty() ? name.find('.') == std::string::npos : name.starts_with(prefix_)) {
      given_[name.substr(prefix_.size())] = value;
    }
  }
}

const std::string* StoreOptions::Find(const std::string& name) {
  known_.insert(prefix_ + name);
  const auto at = given_.find(name);
  return at == given_.end() ? nullptr : &at->second;
}

std::string StoreOptions::Text(const std::string& name, std::string otherwise) {
  const std::string* value = Find(name);
  return value ? *value : std::move(otherwise);
}

uint64_t StoreOptions::Number(const std::string& name, uint64_t otherwise) {
  const std::string* value = Find(name);
  if (!value) return otherwise;
  const auto number = ParseSize(*value);
  if (number) return *number;
  Fail(name, {Code::kInvalid, fmt::format("'{}' is no number", *value)});
  return otherwise;
}

bool StoreOptions::Flag(const std::string& name, bool otherwise) {
  const std::string* value = Find(name);
  if (!value) return otherwise;
  if (*value == "on" || *value == "true" || *value == "1") return true;
  if (*value == "off" || *value == "false" || *value == "0") return false;
  Fail(name, {Code::kInvalid, fmt::format("'{}' is neither on nor off", *value)});
  return otherwise;
}

void StoreOptions::Fail(const std::string& name, const Status& status) {
  if (failure_.ok()) failure_ = status.With(fmt::format("{}: {}{}", what_, prefix_, name));
}

Status StoreOptions::Finish() const {
  if (!failure_.ok()) return failure_;
  for (const auto& [name, value] : given_) {
    if (known_.contains(prefix_ + name)) continue;
    return {Code::kInvalid, fmt::format("{}: unknown option '{}{}'; there are: {}", what_, prefix_,
                                        name, fmt::join(known_, ", "))};
  }
  return {};
}

}  // namespace atl
