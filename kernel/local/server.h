// SPDX-License-Identifier: Apache-2.0
//
// The front end for programs of this host that use a volume through shared memory: protocol.h says
// what it speaks, local_client.h is the other side.
//
//   LocalServer server(&executor, &atoll, {.path = "/run/atoll/local.sock"});
//   Status status = co_await server.Start();
//   ...
//   co_await server.Stop(StopMode::kGraceful);
//
// Who may connect may read and write every volume, as over the NBD server's Unix socket: owner and
// group of the socket. Each client has a segment and a device of its own. One that dies or
// misbehaves is cut off, and its device closed; what it had begun ends first.
//
// A stop answers what has begun, and cuts all off. What a client had submitted and nobody had
// looked at is not answered.
//
// Threads: of its executor. Stopped before it is destroyed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/frontend.h"
#include "kernel/local/connection.h"
#include "kernel/local/limits.h"
#include "kernel/nbd/listener.h"
#include "kernel/nbd/stats_table.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"

namespace atl::local {

struct ServerOptions {
  std::string path;
  Limits limits = {};
};

class LocalServer final : public FrontEnd {
 public:
  LocalServer(Executor* executor, Atoll* atoll, ServerOptions options);
  ~LocalServer() override;

  Task<Status> Start() override;
  Task<void> Stop(StopMode mode) override;
  std::vector<PortStats> Stats() const override;
  std::string_view kind() const override { return "local"; }

  size_t clients() const { return connections_.size(); }

 private:
  Task<Result<nbd::UnixListener>> Listen();
  Task<void> Accept();
  void Admit(Fd socket);
  void MakeRoom();
  Task<void> Serve(std::unique_ptr<Connection> connection);

  Executor* executor_;
  Atoll* atoll_;
  ServerOptions options_;
  nbd::StatsTable stats_;
  std::optional<nbd::UnixListener> listener_;
  std::map<uint64_t, Connection*> connections_;  // In the order in which they came.
  uint64_t accepted_ = 0;
  uint32_t served_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
  TaskGroup tasks_;
};

}  // namespace atl::local
