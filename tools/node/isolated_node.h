// SPDX-License-Identifier: Apache-2.0
//
// A node whose stores, mapper, composer and front ends are a process each, over one segment
// (docs/placement.md). This is the supervisor's side: it makes the segment, starts the peers in
// order, watches them, and ends them in reverse order.
//
//   starting --ready--> running --stop--> stopped
//                          |
//                          +--dies--> dead: its port is quarantined, and whoever asks it is told
//                                     kUnavailable; a front end is started again.
//
// A store, mapper or composer that has died stays dead until the node is restarted: its port is
// kept in quarantine, so that a successor may take it over (xseg/reclaim.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/volumes/remote/port_atoll.h"
#include "tools/atolld/node.h"
#include "tools/node/node_segment.h"
#include "tools/node/peer_process.h"

namespace atl {

Task<Result<std::unique_ptr<Node>>> StartIsolatedNode(const NodeConfig& config, Executor& executor);

// The composer's Atoll, with the rows of the front ends.
class SupervisedAtoll;

class IsolatedNode final : public Node {
 public:
  IsolatedNode(const NodeConfig& config, Executor& executor);
  ~IsolatedNode() override;
  Task<Status> Begin();

  Atoll& atoll() override;
  std::vector<PeerState> Peers() override;
  // Front ends; the others hold what cannot be handed over yet.
  Task<Status> RestartPeer(std::string name) override;
  Task<Result<Report>> GetReport(ReportSpec spec) override;
  Task<void> Stop() override;

 private:
  struct Supervised {
    std::unique_ptr<PeerProcess> process;
    std::string state = "starting";
    uint32_t restarts = 0;
    bool expected_to_end = false;
    bool is_front_end = false;
    int64_t started_ns = 0;
  };

  Task<Status> TakeFolder();
  Status MakeSegment();
  Task<Status> StartPeer(Supervised* peer);
  void Add(std::string name, bool is_front_end);
  Task<void> Watch(Supervised* peer);
  Task<void> Bury(Supervised* peer);
  Task<void> TellOthers(PortIndex gone);
  // Answers whoever asks the dead, until it is replaced or the node has stopped.
  Task<void> AnswerForTheDead(PortIndex port);

  const NodeConfig& config_;
  Executor& executor_;
  Fd folder_;  // Carries the lock that all peers inherit.
  Fd lifeline_read_;
  Fd lifeline_write_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<PeerInheritance> inherited_;
  std::vector<std::unique_ptr<Supervised>> peers_;
  std::unique_ptr<PeerPort> port_;
  std::unique_ptr<SupervisedAtoll> atoll_;
  bool stopping_ = false;
  bool stopped_ = false;
  TaskGroup watchers_;
  TaskGroup answering_;
};

}  // namespace atl
