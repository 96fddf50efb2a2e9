// SPDX-License-Identifier: Apache-2.0
//
// The front end for local clients as the configuration wants it, in both placements.
#pragma once

#include <memory>

#include "kernel/local/server.h"
#include "tools/config/node_config.h"

namespace atl {

// Nothing if it is off.
Task<Result<std::unique_ptr<local::LocalServer>>> StartLocalServer(const NodeConfig& config,
                                                                   Executor* executor,
                                                                   Atoll* atoll);

}  // namespace atl
