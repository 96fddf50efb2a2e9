// SPDX-License-Identifier: Apache-2.0
//
// What a configuration says of the NBD front end.
#pragma once

#include "kernel/nbd/server.h"
#include "tools/config/node_config.h"

namespace atl {

Result<nbd::ServerOptions> NbdOptions(const NodeConfig& config);

}  // namespace atl
