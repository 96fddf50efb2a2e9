// SPDX-License-Identifier: Apache-2.0
//
// What a node is told by its configuration file. Reading it is in load.h, the table of keys with
// their defaults and explanations in schema.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace atl {

enum class Placement : uint8_t {
  kFused,     // All peers in the daemon's process.
  kIsolated,  // A process each.
};
std::string_view ToString(Placement placement);

// "delay:read_ms=5,write_ms=10" of a store's filters.
struct FilterConfig {
  std::string name;
  std::map<std::string, std::string> options;
};

struct StoreConfig {
  std::string name;
  std::string driver = "file";
  std::string path;  // Absolute, once loaded.
  std::map<std::string, std::string> options;
  std::vector<FilterConfig> filters;  // The first one is nearest to the driver.
  bool is_default = false;
};

struct NodeConfig {
  std::string file;       // It was read from; absolute.
  std::string state_dir;  // Absolute.
  Placement placement = Placement::kFused;
  std::string catalog;  // The store that holds names; never empty once loaded.
  std::string nbd_socket;
  std::string nbd_tcp;  // "host:port"; empty: no TCP.
  bool nbd_detect_zeroes = false;
  bool local = true;      // Programs of this host may use volumes through shared memory.
  bool write_log = true;  // Of volumes that flush little and often.
  std::string log_level = "info";
  uint32_t lease_seconds = 15;
  std::vector<StoreConfig> stores;  // At least one, exactly one of them the default.

  std::string control_socket() const { return state_dir + "/node.sock"; }
  std::string local_socket() const { return state_dir + "/local.sock"; }
  std::string pid_file() const { return state_dir + "/atolld.pid"; }
  std::string log_file() const { return state_dir + "/atolld.log"; }
};

}  // namespace atl
