// SPDX-License-Identifier: Apache-2.0
//
// The stores that a configuration names, opened.
#pragma once

#include <memory>
#include <string>

#include "peers/store/store_set.h"
#include "tools/config/node_config.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"

namespace atl {

class WitnessBox;

// What links a store to those of its processes that were before this one, as of StoreSpec.
struct StoreLinks {
  WitnessBox* witnesses = nullptr;
  std::string memory_place = {};
};

bool IsInMemory(const StoreConfig& config);
// MakeMemoryPlace (peers/store/registry.h) for such a store.
Result<Fd> MakePlaceInMemory(const StoreConfig& config);

// One of them, which is made if its place is empty and this node has never known a store there.
Result<std::unique_ptr<Store>> OpenConfiguredStore(const NodeConfig& config,
                                                   const StoreConfig& store, Executor& executor,
                                                   const StoreLinks& links = {});
// Whether its driver, its filters and their options are understood; opens nothing.
Status CheckConfiguredStore(const StoreConfig& store, Executor& executor);
// What it is besides a place: the default, the catalog.
void NoteRole(const NodeConfig& config, StoreSlot slot, StoreSet* stores);

// In the order of the configuration. Blocks: for the start of a program. What was opened before an
// error is in the set.
Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores);

}  // namespace atl
