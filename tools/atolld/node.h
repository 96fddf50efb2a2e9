// SPDX-License-Identifier: Apache-2.0
//
// What `atolld` runs: the node that a configuration describes, with its stores, its peers and its
// front ends. The daemon around it (daemon.h) knows it by this class only.
//
// Lifetime: Stop is the last call before the destructor.
// Threads: belongs to the executor's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/node_control.h"
#include "tools/config/node_config.h"
#include "xseg/base/executor.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

// What a process that is one peer of an isolated node is started with: its name and the numbers of
// descriptors that it inherits.
struct PeerArguments {
  std::string name;
  std::string segment;  // As of SegmentFds::FromInheritSpec.
  int folder_fd = -1;   // The rest of the Estate (tools/node/rendezvous.h).
  int ledger_fd = -1;
  std::string stores;
  int daemon_pid = 0;  // Who starts it.
  int ready_fd = -1;   // Where to say "ready" or what went wrong.
  // It takes the place of one that has died, and what that one had adopted is in this file
  // (tools/node/heirloom.h). -1: it is the first.
  int heirloom_fd = -1;
};

class Node {
 public:
  virtual ~Node() = default;

  // Serves when it returns: stores are open, sockets listen. `config` and `executor` outlive it.
  static Task<Result<std::unique_ptr<Node>>> Start(const NodeConfig& config, Executor& executor);

  // What a start would say of the configuration itself; opens and changes nothing.
  static Status Check(const NodeConfig& config);

  // The life of such a process; its exit code.
  static int RunPeer(const NodeConfig& config, const PeerArguments& arguments);

  virtual Atoll& atoll() = 0;
  virtual std::vector<PeerState> Peers() = 0;
  // kNotFound if there is no peer of this name, kUnsupported where peers share a process.
  virtual Task<Status> RestartPeer(std::string name) = 0;
  virtual Task<Result<Report>> GetReport(ReportSpec spec) = 0;
  // Lets no request in any more, finishes and flushes what is in flight, gives up what it holds.
  virtual Task<void> Stop() = 0;
};

}  // namespace atl
