// SPDX-License-Identifier: Apache-2.0
#include "tools/config/schema.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "tools/config/suggest.h"

namespace atl {
namespace {

constexpr uint32_t kMaxLeaseSeconds = 3600;

Status Invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }

Status SetNumber(uint32_t& target, std::string_view value, uint32_t low, uint32_t high) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < low || number > high) {
    return Invalid(fmt::format("'{}' is not a number from {} to {}", value, low, high));
  }
  target = number;
  return {};
}

Status SetOneOf(std::string& target, std::string_view value,
                std::span<const std::string_view> known) {
  for (const std::string_view word : known) {
    if (word == value) {
      target = value;
      return {};
    }
  }
  return Invalid(
      fmt::format("'{}' is not one of {}{}", value, fmt::join(known, ", "), Suggest(value, known)));
}

Status SetText(std::string& target, std::string_view value) {
  if (value.empty()) return Invalid("a value is missing");
  target = value;
  return {};
}

Status SetPlacement(NodeConfig& config, std::string_view value) {
  constexpr std::array<std::string_view, 2> kKnown = {"fused", "isolated"};
  std::string word;
  RETURN_IF_ERROR(SetOneOf(word, value, kKnown));
  config.placement = word == "isolated" ? Placement::kIsolated : Placement::kFused;
  return {};
}

Status SetTcp(NodeConfig& config, std::string_view value) {
  if (value == "off") {
    config.nbd_tcp.clear();
    return {};
  }
  const size_t colon = value.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !SetNumber(port, value.substr(colon + 1), 1, 65535).ok()) {
    return Invalid(fmt::format("'{}' is neither off nor HOST:PORT", value));
  }
  config.nbd_tcp = value;
  return {};
}

Status SetLogLevel(NodeConfig& config, std::string_view value) {
  constexpr std::array<std::string_view, 5> kKnown = {"debug", "info", "warning", "error", "off"};
  return SetOneOf(config.log_level, value, kKnown);
}

Status SetYesOrNo(bool& target, std::string_view value) {
  constexpr std::array<std::string_view, 6> kKnown = {"yes", "no", "on", "off", "true", "false"};
  std::string word;
  RETURN_IF_ERROR(SetOneOf(word, value, kKnown));
  target = word == "yes" || word == "on" || word == "true";
  return {};
}

// "NAME" or "NAME:key=value,key=value".
Result<FilterConfig> ParseFilter(std::string_view text) {
  FilterConfig filter;
  const size_t colon = text.find(':');
  filter.name = text.substr(0, colon);
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view option = rest.substr(0, comma);
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return Invalid(fmt::format("'{}': the options of a filter are key=value,...", text));
    }
    filter.options[std::string(option.substr(0, equals))] = option.substr(equals + 1);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return filter;
}

Status SetFilters(StoreConfig& store, std::string_view value) {
  store.filters.clear();
  while (!value.empty()) {
    const size_t end = value.find_first_of(" \t");
    const std::string_view word = value.substr(0, end);
    value = end == std::string_view::npos ? "" : value.substr(end + 1);
    if (word.empty()) continue;
    ASSIGN_OR_RETURN(FilterConfig filter, ParseFilter(word));
    store.filters.push_back(std::move(filter));
  }
  return {};
}

constexpr std::array<KeyRow<NodeConfig>, 10> kNodeKeys = {{
    {"state", ".",
     "Everything of this node lives here: its sockets, its log, and by default its store.\n"
     "A relative path starts at the folder of this file.",
     [](NodeConfig& c, std::string_view v) { return SetText(c.state_dir, v); }},
    {"placement", "fused",
     "fused: all peers share one process. isolated: composer, mapper, each store and the\n"
     "front ends are a process each and talk through shared memory.",
     SetPlacement},
    {"catalog", "",
     "The store that holds the names of all volumes; if not set, the first one below.",
     [](NodeConfig& c, std::string_view v) { return SetText(c.catalog, v); }},
    {"nbd_socket", "nbd.sock", "The Unix socket of the NBD server; relative to the state folder.",
     [](NodeConfig& c, std::string_view v) { return SetText(c.nbd_socket, v); }},
    {"nbd_tcp", "off",
     "HOST:PORT to serve NBD over TCP as well. There is no authentication: for networks\n"
     "where every machine may read and write every volume.",
     SetTcp},
    {"nbd_detect_zeroes", "no",
     "yes: zeros that NBD clients write, alone or in runs of 16 KiB and more, take no space\n"
     "and give back what the range had. For guests that write zeros instead of discarding.",
     [](NodeConfig& c, std::string_view v) { return SetYesOrNo(c.nbd_detect_zeroes, v); }},
    {"local", "on",
     "on: programs of this host that may open local.sock, in the state folder, use volumes\n"
     "through shared memory.",
     [](NodeConfig& c, std::string_view v) { return SetYesOrNo(c.local, v); }},
    {"write_log", "on",
     "on: a flush of little is one write to a log, which takes an eighth of its volume, 128 MiB\n"
     "at most, while that is open. off: each flush has every place written.",
     [](NodeConfig& c, std::string_view v) { return SetYesOrNo(c.write_log, v); }},
    {"log_level", "info", "debug, info, warning, error or off.", SetLogLevel},
    {"lease_seconds", "15",
     "How long this node may act for what it holds without a sign of life in the store.",
     [](NodeConfig& c, std::string_view v) {
       return SetNumber(c.lease_seconds, v, 1, kMaxLeaseSeconds);
     }},
}};

constexpr std::array<KeyRow<StoreConfig>, 5> kStoreKeys = {{
    {"driver", "file", "file: sparse files under a folder. memory: gone when the node stops.",
     [](StoreConfig& s, std::string_view v) { return SetText(s.driver, v); }},
    {"path", "store", "Where it is; relative to the state folder.",
     [](StoreConfig& s, std::string_view v) { return SetText(s.path, v); }},
    {"default", "yes", "Volumes go here unless --store says otherwise; else to the first store.",
     [](StoreConfig& s, std::string_view v) { return SetYesOrNo(s.is_default, v); }},
    {"checksum", "off",
     "on: checksums of data, so that what the disk has changed is found and never served. All\n"
     "nodes that use the store have to agree.",
     [](StoreConfig& s, std::string_view v) {
       bool on = false;
       RETURN_IF_ERROR(SetYesOrNo(on, v));
       s.options["checksum"] = on ? "on" : "off";
       return Status();
     }},
    {"filters", "",
     "Filters over the driver, the nearest first, such as: delay:max_us=500 error:per_million=100 "
     "checked",
     SetFilters},
}};

}  // namespace

std::string_view ToString(Placement placement) {
  return placement == Placement::kIsolated ? "isolated" : "fused";
}

std::span<const KeyRow<NodeConfig>> NodeKeys() { return kNodeKeys; }
std::span<const KeyRow<StoreConfig>> StoreKeys() { return kStoreKeys; }

}  // namespace atl
