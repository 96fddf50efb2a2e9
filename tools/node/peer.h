// SPDX-License-Identifier: Apache-2.0
//
// One peer of an isolated node, in its process: made, started, stopped.
//
// Threads: the executor's. Stop is the last call, also after a failed Start.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/config/node_config.h"
#include "tools/node/heirloom.h"
#include "tools/node/store_remains.h"
#include "xseg/base/executor.h"
#include "xseg/segment.h"

namespace atl {

struct PeerHost {
  const NodeConfig& config;
  Executor& executor;
  Segment& segment;
  const AllRemains& stores;
  // Of a peer that takes the place of one that has died.
  std::optional<Heirloom> heirloom;
};

class Peer {
 public:
  virtual ~Peer() = default;
  // It serves when this has ended well.
  virtual Task<Status> Start() = 0;
  virtual Task<void> Stop() = 0;
};

// By the peer's name; kNotFound if the configuration has no such peer.
Result<std::unique_ptr<Peer>> MakePeer(const PeerHost& host, const std::string& name);

}  // namespace atl
