// SPDX-License-Identifier: Apache-2.0
//
// A node whose peers share the daemon's process: a hop between them is a call.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/local/server.h"
#include "kernel/nbd/server.h"
#include "peers/mapper/map_opener.h"
#include "peers/volumes/local_atoll.h"
#include "tools/atolld/node.h"
#include "tools/node/garbage_timer.h"

namespace atl {

class FusedNode final : public Node {
 public:
  static Task<Result<std::unique_ptr<Node>>> Start(const NodeConfig& config, Executor& executor);
  ~FusedNode() override;

  Atoll& atoll() override { return *atoll_; }
  std::vector<PeerState> Peers() override;
  Task<Status> RestartPeer(std::string name) override;
  Task<Result<Report>> GetReport(ReportSpec spec) override;
  Task<void> Stop() override;

 private:
  FusedNode(const NodeConfig& config, Executor& executor);
  Task<Status> Begin();
  Task<Status> StartFrontEnds();
  std::vector<PortStats> FrontEndStats() const;

  const NodeConfig& config_;
  Executor& executor_;
  StoreSet stores_;
  LocalMapOpener maps_;
  HeapBufferPool buffers_;
  std::unique_ptr<LocalAtoll> atoll_;
  std::unique_ptr<nbd::NbdServer> nbd_;
  std::unique_ptr<local::LocalServer> local_;
  GarbageTimer garbage_;
};

}  // namespace atl
