// SPDX-License-Identifier: Apache-2.0
//
// Runs the real `atoll` against the real daemon (over a node in memory), in a folder of its own.
// Where the two programs are comes from the build.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/peers/client/control_world.h"

namespace atl {

struct CliResult {
  int exit_code = -1;
  std::string out;
  std::string err;

  nlohmann::json json() const { return nlohmann::json::parse(out); }
  // "atoll: ..." on one line, and nothing on stdout.
  bool is_one_line_error() const {
    return err.starts_with("atoll: ") && err.find('\n') == err.size() - 1;
  }
};

class CliWorld {
 public:
  CliWorld();
  // Stops the node if it still runs.
  ~CliWorld();

  // Runs `atoll` with `--config` of this world and waits for its end.
  CliResult Run(std::vector<std::string> words);
  CliResult RunJson(std::vector<std::string> words);
  // Without --config.
  CliResult RunBare(std::vector<std::string> words);
  // Starts it and lets it run; the caller waits.
  pid_t Spawn(std::vector<std::string> words, const std::string& out, const std::string& err);
  // Wrote a configuration with these options of the store, and started the node.
  void Start(const std::map<std::string, std::string>& options = {});
  void WriteConfig(const std::map<std::string, std::string>& options = {});

  std::string config() const { return folder_ / "atoll.conf"; }
  std::string File(const std::string& name) const { return folder_ / name; }
  std::string folder() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

int WaitForExit(pid_t pid);
std::string ReadWhole(const std::string& path);

}  // namespace atl
