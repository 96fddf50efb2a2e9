// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/node.h"

#include "tools/node/fused_node.h"

namespace atl {

Task<Result<std::unique_ptr<Node>>> Node::Start(const NodeConfig& config, Executor& executor) {
  if (config.placement == Placement::kIsolated) {
    co_return Status(Code::kUnsupported, "the isolated placement is not there yet");
  }
  co_return co_await FusedNode::Start(config, executor);
}

}  // namespace atl
