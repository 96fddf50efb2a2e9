// SPDX-License-Identifier: Apache-2.0
#include "tools/node/store_list.h"

#include <fmt/format.h>

#include "peers/store/file/file_store.h"
#include "peers/store/memory/memory_store.h"

namespace atl {
namespace {

Result<std::unique_ptr<Store>> OpenOne(const StoreConfig& config, Executor& executor) {
  if (config.driver == "memory") {
    MemoryStoreOptions options;
    options.name = config.name;
    options.own_world.durable_at_ack = true;
    return std::unique_ptr<Store>(std::make_unique<MemoryStore>(executor, options));
  }
  if (config.driver == "file") {
    FileStoreOptions options;
    options.name = config.name;
    options.path = config.path;
    options.create = true;
    ASSIGN_OR_RETURN(auto store, FileStore::Open(executor, options));
    return std::unique_ptr<Store>(std::move(store));
  }
  return Status(Code::kInvalid,
                fmt::format("no driver '{}'; there are: file, memory", config.driver));
}

}  // namespace

Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores) {
  for (const StoreConfig& one : config.stores) {
    auto store = OpenOne(one, executor);
    if (!store.ok()) return store.status().With("store " + one.name);
    stores->Add(*std::move(store));
    if (one.is_default) stores->SetDefault(static_cast<StoreSlot>(stores->size() - 1));
  }
  return {};
}

}  // namespace atl
