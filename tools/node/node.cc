// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/node.h"

#include "tools/node/fused_node.h"
#include "tools/node/isolated_node.h"
#include "tools/node/nbd_options.h"
#include "tools/node/peer_life.h"
#include "tools/node/store_list.h"

namespace atl {

Task<Result<std::unique_ptr<Node>>> Node::Start(const NodeConfig& config, Executor& executor) {
  if (config.placement == Placement::kIsolated) {
    co_return co_await StartIsolatedNode(config, executor);
  }
  co_return co_await FusedNode::Start(config, executor);
}

Status Node::Check(const NodeConfig& config) {
  Executor executor;
  for (const StoreConfig& store : config.stores) {
    RETURN_IF_ERROR(CheckConfiguredStore(store, executor));
  }
  const auto nbd = NbdOptions(config);
  return nbd.ok() ? Status() : nbd.status().With("the NBD front end");
}

int Node::RunPeer(const NodeConfig& config, const PeerArguments& arguments) {
  return PeerMain(config, arguments);
}

}  // namespace atl
