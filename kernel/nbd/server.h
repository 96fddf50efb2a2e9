// SPDX-License-Identifier: Apache-2.0
//
// The NBD front end of a node: docs/nbd.md says what it speaks.
//
//   NbdServer server(&executor, &atoll, {.unix_path = "/run/atoll/nbd.sock"});
//   Status status = co_await server.Start();
//   ...
//   co_await server.Stop(StopMode::kGraceful);
//
// Each connection opens a device of its own. Devices of one node share the volume, so a flush on
// one connection covers what was acknowledged on any: multi-conn is announced.
//
// A graceful stop answers what is in flight and closes; requests that were not complete by then are
// not answered at all, so that a client that reconnects repeats them instead of failing them.
//
// Threads: of its executor. Stopped before it is destroyed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/frontend.h"
#include "kernel/nbd/buffer_watch.h"
#include "kernel/nbd/catalog.h"
#include "kernel/nbd/connection.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/linger.h"
#include "kernel/nbd/listener.h"
#include "kernel/nbd/stats_table.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"

namespace atl::nbd {

struct ServerOptions {
  std::string unix_path;          // Empty: none.
  std::optional<TcpAddress> tcp;  // Anybody who can reach it may read and write: off by default.
  bool detect_zeroes = false;     // In what clients write (DeviceWriteOptions).
  ServerLimits limits;
};

class NbdServer final : public FrontEnd {
 public:
  NbdServer(Executor* executor, Atoll* atoll, ServerOptions options);
  ~NbdServer() override;

  Task<Status> Start() override;
  Task<void> Stop(StopMode mode) override;
  std::vector<PortStats> Stats() const override { return stats_.Rows(); }
  std::string_view kind() const override { return "nbd"; }

  size_t connections() const { return connections_.size(); }
  uint64_t refused_connections() const { return refused_; }
  // 0 if it does not listen on TCP.
  uint16_t tcp_port() const { return tcp_ ? PortOf(*tcp_) : 0; }

 private:
  Task<Result<UnixListener>> ListenUnix();
  Task<void> AcceptFrom(int listener);
  void Admit(Fd socket);
  bool MakeRoom();
  Task<void> Serve(std::unique_ptr<Connection> connection);
  Task<void> CutLate();
  void CutAll(std::string_view why);

  Executor* executor_;
  ServerOptions options_;
  Catalog catalog_;
  StatsTable stats_;
  BufferWatch watch_;
  std::optional<Linger> linger_;  // While it runs.
  std::optional<UnixListener> unix_;
  std::optional<Fd> tcp_;
  std::set<Connection*> connections_;
  uint64_t refused_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
  Alarm grace_;
  TaskGroup tasks_;
  TaskGroup late_;
};

}  // namespace atl::nbd
