// SPDX-License-Identifier: Apache-2.0
//
// The life of a process that is one peer of an isolated node: `atolld --peer NAME`. It attaches to
// the segment that it inherits, serves under its port's name, says that it is ready, and ends on
// SIGTERM. If the daemon dies it goes on, and the next daemon adopts it (rendezvous.h).
#pragma once

#include "tools/atolld/node.h"
#include "tools/config/node_config.h"

namespace atl {

// The exit code.
int PeerMain(const NodeConfig& config, const PeerArguments& arguments);

}  // namespace atl
