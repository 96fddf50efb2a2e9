// SPDX-License-Identifier: Apache-2.0
//
// The stores that a configuration names, opened.
#pragma once

#include <memory>

#include "peers/store/store_set.h"
#include "tools/config/node_config.h"
#include "xseg/base/executor.h"

namespace atl {

// One of them.
Result<std::unique_ptr<Store>> OpenConfiguredStore(const StoreConfig& config, Executor& executor);
// What it is besides a place: the default, the catalog.
void NoteRole(const NodeConfig& config, StoreSlot slot, StoreSet* stores);

// In the order of the configuration; a store is made if its place is empty. Blocks: for the start
// of a program. What was opened before an error is in the set.
Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores);

}  // namespace atl
