// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/daemon_control.h"

#include <unistd.h>

#include <utility>

#include "tools/config/version.h"

namespace atl {

DaemonControl::DaemonControl(const NodeConfig& config, Env& env, Node& node, Event& stop)
    : config_(config),
      env_(env),
      node_(node),
      stop_(stop),
      started_wall_ns_(env.WallNs()),
      started_boot_ns_(env.BootNs()) {}

Task<Result<NodeStatus>> DaemonControl::GetStatus() {
  NodeStatus status;
  status.version = Version();
  status.placement = ToString(config_.placement);
  status.config = config_.file;
  status.state_dir = config_.state_dir;
  status.pid = getpid();
  status.started_ns = started_wall_ns_;
  status.uptime_ns = env_.BootNs() - started_boot_ns_;
  status.nbd_socket = config_.nbd_socket;
  status.nbd_tcp = config_.nbd_tcp;
  status.peers = node_.Peers();
  co_return status;
}

Task<Status> DaemonControl::Stop() {
  stop_.Set();
  co_return Status();
}

Task<Status> DaemonControl::RestartPeer(std::string name) {
  return node_.RestartPeer(std::move(name));
}

Task<Result<Report>> DaemonControl::GetReport(ReportSpec spec) {
  return node_.GetReport(std::move(spec));
}

}  // namespace atl
