// SPDX-License-Identifier: Apache-2.0
//
// A node whose stores, mapper, composer and front ends are a process each, over one segment
// (docs/placement.md). This is the supervisor's side: it makes the segment, starts the peers in
// order, watches them, and ends them in reverse order.
//
//   starting --ready--> running --stop--> stopped
//      ^                   |
//      |                   +--dies--> dead: its port is quarantined until nothing that it began is
//      +---- successor ---------------      under way any more
//
// Whoever asked the dead one waits for its successor, which takes over the requests. Of a store the
// supervisor knows what it had adopted, and the successor adopts that first. A peer that ends again
// and again right after its start is started at longer and longer intervals, and meanwhile whoever
// asks it is told kUnavailable: the request that kills it is then answered, too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peers/store_ops.h"
#include "peers/volumes/remote/port_atoll.h"
#include "tools/atolld/node.h"
#include "tools/node/ledger.h"
#include "tools/node/node_segment.h"
#include "tools/node/peer_process.h"
#include "tools/node/rendezvous.h"

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
  // A front end answers what is in flight first; any other is killed, and its successor goes on.
  Task<Status> RestartPeer(std::string name) override;
  Task<Result<Report>> GetReport(ReportSpec spec) override;
  Task<void> Stop() override;

  // What stores say of themselves.
  Task<Status> Do(const RpcCall& call, PeerHoldsOp& op);
  Task<Status> Do(const RpcCall& call, PeerLeftOp& op);

 private:
  struct Supervised {
    std::unique_ptr<PeerProcess> process;
    std::string state = "starting";  // As it is shown.
    bool is_starting = false;
    uint32_t restarts = 0;
    bool expected_to_end = false;
    bool restarting = false;  // Somebody wants it to end, and to begin anew.
    bool is_front_end = false;
    int64_t started_ns = 0;
    int64_t died_ns = 0;
    uint32_t failures = 0;  // Starts in a row that did not last.
    bool given_up = false;  // Whoever asks it is answered by us.
  };

  // Those whose daemon has died, if there are any; else the folder is locked for this node.
  Task<Result<std::vector<FoundPeer>>> TakeFolder();
  Task<Status> BeginAnew();
  // Goes on with what a daemon that has died has left.
  Task<Status> GoOn(std::vector<FoundPeer> found);
  // The ports of a daemon that has died: of the desk at once, of its requests when they are over.
  Status OpenPorts();
  Task<void> BuryDaemon(PortIndex port);
  Task<Status> StartPeer(Supervised* peer, Fd heirloom);
  void Add(std::string name, bool is_front_end);
  // From its first start to the end of the node.
  Task<void> Watch(Supervised* peer);
  Task<void> Revive(Supervised* peer);
  Task<void> Replace(Supervised* peer);
  Task<Status> StartSuccessor(Supervised* peer);
  Task<void> PauseBeforeRestart(Supervised* peer);
  // Until nothing that it began is under way any more.
  Task<void> Bury(Supervised* peer);
  Task<void> TellWhoServedIt(const std::string& name, PortIndex gone);
  Task<void> TellFrontEnds();
  Task<void> TellGone(RpcTarget to, PortIndex gone);
  // Answers whoever asks it, until it is replaced or the node has stopped.
  void GiveUp(Supervised* peer);
  Task<void> AnswerForTheDead(Supervised* peer, PortIndex port);
  Supervised* Find(const std::string& name) const;
  Supervised* OwnerOf(PortIndex port) const;

  const NodeConfig& config_;
  Executor& executor_;
  Estate estate_;
  std::optional<Ledger> ledger_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<PeerInheritance> inherited_;
  std::vector<std::unique_ptr<Supervised>> peers_;
  // Where stores say what they hold; it sends nothing, so the next daemon can have it at once.
  std::unique_ptr<PeerPort> desk_;
  std::unique_ptr<PeerPort> port_;  // For our requests, of this process only.
  std::unique_ptr<SupervisedAtoll> atoll_;
  bool stopping_ = false;
  bool stopped_ = false;
  TaskGroup watchers_;
  TaskGroup answering_;
};

}  // namespace atl
