// SPDX-License-Identifier: Apache-2.0
//
// The stores that a configuration names, opened.
#pragma once

#include "peers/store/store_set.h"
#include "tools/config/node_config.h"
#include "xseg/base/executor.h"

namespace atl {

// In the order of the configuration; a store is made if its place is empty. Blocks: for the start
// of a program. What was opened before an error is in the set.
Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores);

}  // namespace atl
