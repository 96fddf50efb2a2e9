// SPDX-License-Identifier: Apache-2.0
//
// What can be asked of a node besides its volumes: how it is, reports by name, and to stop. The
// daemon implements it, the control server serves it, the CLI uses it.
//
// Threads: belongs to one executor thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

// One peer of the node; in the fused placement all of them share the daemon's process.
struct PeerState {
  std::string name;  // "composer", "store default", ...
  int64_t pid = 0;
  std::string state;  // "running", "restarting", ...
  uint32_t restarts = 0;
};

struct NodeStatus {
  std::string version;
  std::string placement;  // "fused" or "isolated".
  std::string config;     // The file it was started with.
  std::string state_dir;
  int64_t pid = 0;
  int64_t started_ns = 0;  // Since 1970 UTC.
  int64_t uptime_ns = 0;   // By the clock that runs on through suspend.
  std::string nbd_socket;  // Empty: none.
  std::string nbd_tcp;     // "host:port", or empty.
  std::vector<PeerState> peers;
};

struct ReportSpec {
  std::string name;      // "segment report", "segment check" or "trace".
  std::string argument;  // Of a trace: the volume.
  bool json = false;     // Else text for people.
};

struct Report {
  std::string text;
  bool good = true;  // Of a check: nothing is wrong.
};

class NodeControl {
 public:
  virtual ~NodeControl() = default;

  virtual Task<Result<NodeStatus>> GetStatus() = 0;
  // Returns when the stop has begun; the process ends when everything is closed.
  virtual Task<Status> Stop() = 0;
  virtual Task<Status> RestartPeer(std::string name) = 0;
  virtual Task<Result<Report>> GetReport(ReportSpec spec) = 0;
};

}  // namespace atl
