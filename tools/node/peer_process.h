// SPDX-License-Identifier: Apache-2.0
//
// A process that is one peer of the node: a child of ours, or of a daemon before us.
//
//   Start() or Adopt() -> running -> exited (with a word how)
//
// A peer goes on when its daemon dies. It holds what the node shares (rendezvous.h), with the lock
// of the state folder, so that the next daemon knows that there are peers, finds them, and adopts
// them.
//
// Threads: the executor's. Exited before it is destroyed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/config/node_config.h"
#include "tools/node/rendezvous.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/base/sync.h"

namespace atl {

// What all children of one daemon inherit. Outlives them.
struct PeerInheritance {
  const NodeConfig& config;
  const Estate& estate;
};

class PeerProcess {
 public:
  static constexpr int64_t kStopPatience = 60 * kSecond;

  PeerProcess(Executor* executor, std::string name) : executor_(executor), name_(std::move(name)) {}
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  void Inherit(const PeerInheritance* inherited) { inherited_ = inherited; }
  // Ends when the peer serves, or could not begin; then it has exited. `heirloom` goes to one that
  // takes the place of another (heirloom.h).
  Task<Status> Start(Fd heirloom = {});
  // One that runs already.
  void Adopt(FoundPeer peer);
  // Asks the one that runs to end, and kills it if it has not within `patience_ns`. Its successor
  // is left alone, however soon it comes.
  Task<void> Stop(int64_t patience_ns);

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool runs() const { return pid_ != 0 && !exited_.is_set(); }
  // Set when it has exited and was reaped.
  Event& exited() { return exited_; }
  // "exited with code 1", "was killed by signal 9".
  const std::string& how() const { return how_; }

 private:
  Status Fork(Fd ready_write, Fd heirloom);
  [[noreturn]] void RunChild(std::span<const int> inherits, char** arguments) const;
  Task<Status> AwaitReady(Fd ready);
  Task<void> Reap();

  Executor* executor_;
  const PeerInheritance* inherited_ = nullptr;
  std::string name_;
  pid_t pid_ = 0;
  uint32_t lives_ = 0;  // How many processes there were.
  Fd process_;
  Event exited_;
  std::string how_;
  TaskGroup watch_;
};

// Ends peers of a daemon that has died and with which this one cannot go on. By force: to end in
// order they would need a daemon. Nothing that was acknowledged is lost.
Task<void> KillPeers(Executor* executor, std::vector<FoundPeer> peers);

}  // namespace atl
