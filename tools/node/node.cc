// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/node.h"

#include "tools/node/fused_node.h"
#include "tools/node/isolated_node.h"
#include "tools/node/peer_life.h"

namespace atl {

Task<Result<std::unique_ptr<Node>>> Node::Start(const NodeConfig& config, Executor& executor) {
  if (config.placement == Placement::kIsolated) {
    co_return co_await StartIsolatedNode(config, executor);
  }
  co_return co_await FusedNode::Start(config, executor);
}

int Node::RunPeer(const NodeConfig& config, const PeerArguments& arguments) {
  return PeerMain(config, arguments);
}

}  // namespace atl
