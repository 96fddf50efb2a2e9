// SPDX-License-Identifier: Apache-2.0
//
// The daemon's answers to what is asked of a node besides its volumes.
#pragma once

#include <string>

#include "peers/client/node_control.h"
#include "tools/atolld/node.h"
#include "tools/config/node_config.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

class DaemonControl final : public NodeControl {
 public:
  // `stop` is set when a client asks for the end.
  DaemonControl(const NodeConfig& config, Env& env, Node& node, Event& stop);

  Task<Result<NodeStatus>> GetStatus() override;
  Task<Status> Stop() override;
  Task<Status> RestartPeer(std::string name) override;
  Task<Result<Report>> GetReport(ReportSpec spec) override;

 private:
  const NodeConfig& config_;
  Env& env_;
  Node& node_;
  Event& stop_;
  const int64_t started_wall_ns_;
  const int64_t started_boot_ns_;
};

}  // namespace atl
