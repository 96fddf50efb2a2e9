// SPDX-License-Identifier: Apache-2.0
#include "tools/node/store_list.h"

#include "peers/store/registry.h"

namespace atl {
namespace {

// The registry takes everything as options: the first filter is the outermost there.
StoreSpec ToSpec(const StoreConfig& config) {
  StoreSpec spec{.name = config.name, .driver = config.driver, .options = config.options};
  if (!config.path.empty() && config.driver != "memory") spec.options["path"] = config.path;
  std::string filters;
  for (auto filter = config.filters.rbegin(); filter != config.filters.rend(); ++filter) {
    filters += (filters.empty() ? "" : ",") + filter->name;
    for (const auto& [key, value] : filter->options) {
      spec.options[filter->name + "." + key] = value;
    }
  }
  if (!filters.empty()) spec.options["filters"] = filters;
  return spec;
}

}  // namespace

Result<std::unique_ptr<Store>> OpenConfiguredStore(const StoreConfig& config, Executor& executor) {
  auto store = OpenStore(ToSpec(config), executor, /*create=*/true);
  if (!store.ok()) return store.status().With("store " + config.name);
  return *std::move(store);
}

void NoteRole(const NodeConfig& config, StoreSlot slot, StoreSet* stores) {
  const StoreConfig& store = config.stores[slot];
  if (store.is_default) stores->SetDefault(slot);
  if (store.name == config.catalog) stores->SetCatalog(slot);
}

Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores) {
  for (const StoreConfig& one : config.stores) {
    ASSIGN_OR_RETURN(auto store, OpenConfiguredStore(one, executor));
    stores->Add(std::move(store));
    NoteRole(config, static_cast<StoreSlot>(stores->size() - 1), stores);
  }
  return {};
}

}  // namespace atl
