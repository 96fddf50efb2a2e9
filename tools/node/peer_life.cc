// SPDX-License-Identifier: Apache-2.0
#include "tools/node/peer_life.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>

#include "tools/atolld/ready.h"
#include "tools/atolld/signals.h"
#include "tools/node/peer.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

// Ends the process with the daemon.
Task<void> WatchLifeline(Executor* executor, int fd) {
  co_await executor->ring().Poll(fd, POLLIN);
  spdlog::error("the daemon has ended: ending, too");
  spdlog::shutdown();
  _exit(1);
}

Task<Status> Live(const PeerHost& host, const PeerArguments& arguments, ReadyNotifier* ready,
                  Event* stop) {
  CO_ASSIGN_OR_RETURN(const std::unique_ptr<Peer> peer, MakePeer(host, arguments.name));
  const Status status = co_await peer->Start();
  if (status.ok()) {
    spdlog::info("serving, pid {}", getpid());
    ready->Ready();
    co_await *stop;
  }
  co_await peer->Stop();
  co_return status;
}

Status Run(const NodeConfig& config, const PeerArguments& arguments, ReadyNotifier* ready) {
  ASSIGN_OR_RETURN(SegmentFds fds, SegmentFds::FromInheritSpec(arguments.segment));
  ASSIGN_OR_RETURN(const std::unique_ptr<Segment> segment, Segment::Attach(std::move(fds)));
  Executor executor;
  Event stop;
  const StopSignals signals(executor, [&stop](int) { stop.Set(); });
  if (arguments.lifeline_fd >= 0) Spawn(WatchLifeline(&executor, arguments.lifeline_fd));
  PeerHost host{config, executor, *segment, std::nullopt};
  if (arguments.heirloom_fd >= 0) {
    const Fd file(arguments.heirloom_fd);
    ASSIGN_OR_RETURN(host.heirloom, ReadHeirloomFile(file.get()));
  }
  return executor.RunUntilDone(Live(host, arguments, ready, &stop));
}

}  // namespace

int PeerMain(const NodeConfig& config, const PeerArguments& arguments) {
  BlockStopSignals();
  // The daemon speaks for the whole node.
  unsetenv("NOTIFY_SOCKET");
  ReadyNotifier ready(arguments.ready_fd);
  const Status status = Run(config, arguments, &ready);
  if (status.ok()) {
    spdlog::info("stopped");
    return 0;
  }
  spdlog::error("{}", status.message());
  ready.Failed(std::string(status.message()));
  return 1;
}

}  // namespace atl
