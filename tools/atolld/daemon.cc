// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "peers/client/control_server.h"
#include "tools/atolld/daemon_control.h"
#include "tools/atolld/node.h"
#include "tools/atolld/ready.h"
#include "tools/atolld/signals.h"
#include "tools/config/pid_file.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

class Daemon {
 public:
  Daemon(const NodeConfig& config, ReadyNotifier& ready)
      : config_(config),
        ready_(ready),
        signals_(executor_, [this](int number) { OnSignal(number); }) {}

  Status Run() { return executor_.RunUntilDone(Live()); }

 private:
  Task<Status> Live() {
    CO_ASSIGN_OR_RETURN(const std::unique_ptr<Node> node, co_await Node::Start(config_, executor_));
    const Status status = co_await Serve(*node);
    co_await node->Stop();
    co_return status;
  }

  Task<Status> Serve(Node& node) {
    DaemonControl control(config_, executor_, node, stop_);
    const ControlHost host{executor_, node.atoll(), control};
    CO_ASSIGN_OR_RETURN(const std::unique_ptr<ControlServer> server,
                        ControlServer::Listen(host, config_.control_socket()));
    spdlog::info("serving: {} placement, pid {}, control socket {}", ToString(config_.placement),
                 getpid(), config_.control_socket());
    ready_.Ready();
    co_await stop_;
    spdlog::info("stopping");
    // A check may take long, and is waited for like every request.
    const ScrubSpec abort{.action = ScrubAction::kAbort};
    (void)co_await node.atoll().Scrub(abort);
    co_await server->Stop();
    co_return Status();
  }

  void OnSignal(int number) {
    // The first one may follow a request to stop whose answer was not seen.
    if (signals_seen_++ > 0) {
      spdlog::warn("signal {} again: ending at once", number);
      spdlog::shutdown();
      _exit(1);
    }
    spdlog::info("signal {}", number);
    stop_.Set();
  }

  const NodeConfig& config_;
  ReadyNotifier& ready_;
  Event stop_;
  int signals_seen_ = 0;
  Executor executor_;
  StopSignals signals_;
};

// What volumes hold is for the node's user alone.
Status MakeStateFolder(const std::string& path) {
  umask(0077);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Status::FromErrno(error.value(), path);
  return {};
}

Status RunLocked(const NodeConfig& config, ReadyNotifier& ready) {
  RETURN_IF_ERROR(MakeStateFolder(config.state_dir));
  auto lock = PidFile::Acquire(config.pid_file());
  if (!lock.ok()) return lock.status().With(config.state_dir);
  Daemon daemon(config, ready);
  return daemon.Run();
}

}  // namespace

int CheckOnly(const NodeConfig& config, DaemonOptions options) {
  ReadyNotifier ready(options.ready_fd);
  const Status status = Node::Check(config);
  if (status.ok()) {
    ready.Checked();
    return 0;
  }
  spdlog::error("{}", status.message());
  ready.Failed(std::string(status.message()));
  return 1;
}

int RunDaemon(const NodeConfig& config, DaemonOptions options) {
  BlockStopSignals();
  ReadyNotifier ready(options.ready_fd);
  const Status status = RunLocked(config, ready);
  if (status.ok()) {
    spdlog::info("stopped");
    return 0;
  }
  spdlog::error("{}", status.message());
  ready.Failed(std::string(status.message()));
  return 1;
}

}  // namespace atl
