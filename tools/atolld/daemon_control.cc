// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/daemon_control.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/config/version.h"

namespace atl {
namespace {

// A store's peer is "store NAME", and people also write "store/NAME", as its port is called, or
// just NAME. Peers that have exactly the name come first.
std::string NameOfPeer(const std::vector<PeerState>& peers, std::string asked) {
  constexpr std::string_view kStore = "store ";
  const auto there_is = [&peers](const std::string& name) {
    return std::ranges::find(peers, name, &PeerState::name) != peers.end();
  };
  if (there_is(asked)) return asked;
  std::string spaced = asked;
  std::ranges::replace(spaced, '/', ' ');
  if (there_is(spaced)) return spaced;
  if (std::string of_store = std::string(kStore) + asked; there_is(of_store)) return of_store;
  return asked;
}

}  // namespace

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
  return node_.RestartPeer(NameOfPeer(node_.Peers(), std::move(name)));
}

Task<Result<Report>> DaemonControl::GetReport(ReportSpec spec) {
  return node_.GetReport(std::move(spec));
}

}  // namespace atl
