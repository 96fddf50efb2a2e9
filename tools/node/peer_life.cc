// SPDX-License-Identifier: Apache-2.0
#include "tools/node/peer_life.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>

#include "tools/atolld/ready.h"
#include "tools/atolld/signals.h"
#include "tools/node/peer.h"
#include "tools/node/rendezvous.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

Task<Status> Live(const PeerHost& host, const PeerArguments& arguments, ReadyNotifier* ready,
                  const Estate& estate, Event* stop) {
  CO_ASSIGN_OR_RETURN(const std::unique_ptr<Peer> peer, MakePeer(host, arguments.name));
  CO_ASSIGN_OR_RETURN(
      const auto rendezvous,
      Rendezvous::Listen(&host.executor, host.config.state_dir, arguments.name, &estate));
  // A daemon that has come since and has not found us starts another one in our place. It has not
  // found us only if ours had died before we began to listen: that is seen here.
  if (getppid() != arguments.daemon_pid) {
    co_await rendezvous->Stop();
    co_return Status(Code::kUnavailable, "the daemon that has started this process has died");
  }
  const Status status = co_await peer->Start();
  if (status.ok()) {
    spdlog::info("serving, pid {}", getpid());
    ready->Ready();
    co_await *stop;
  }
  co_await peer->Stop();
  co_await rendezvous->Stop();
  if (!status.ok()) {
    spdlog::error("{}", status.message());
    ready->Failed(std::string(status.message()));
  }
  spdlog::info("stopped");
  spdlog::shutdown();
  // Without giving its port back: that is the supervisor's, who knows whether there will be another
  // one. Who asks meanwhile waits for it.
  _exit(status.ok() ? 0 : 1);
}

Status Run(const NodeConfig& config, const PeerArguments& arguments, ReadyNotifier* ready) {
  Estate estate;
  ASSIGN_OR_RETURN(estate.segment, SegmentFds::FromInheritSpec(arguments.segment));
  ASSIGN_OR_RETURN(SegmentFds fds, estate.segment.Duplicate());
  estate.folder = Fd(arguments.folder_fd);
  estate.ledger = Fd(arguments.ledger_fd);
  ASSIGN_OR_RETURN(estate.stores, RemainsFromSpec(arguments.stores));
  ASSIGN_OR_RETURN(const std::unique_ptr<Segment> segment, Segment::Attach(std::move(fds)));
  Executor executor;
  Event stop;
  const StopSignals signals(executor, [&stop](int) { stop.Set(); });
  PeerHost host{config, executor, *segment, estate.stores, std::nullopt};
  if (arguments.heirloom_fd >= 0) {
    const Fd file(arguments.heirloom_fd);
    ASSIGN_OR_RETURN(host.heirloom, ReadHeirloomFile(file.get()));
  }
  return executor.RunUntilDone(Live(host, arguments, ready, estate, &stop));
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
