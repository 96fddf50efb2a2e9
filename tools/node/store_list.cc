// SPDX-License-Identifier: Apache-2.0
#include "tools/node/store_list.h"

#include <spdlog/spdlog.h>

#include "peers/store/registry.h"
#include "tools/node/known_stores.h"

namespace atl {
namespace {

// Drivers know flags as on and off; a configuration may say yes and no everywhere.
void SayOnAndOff(std::map<std::string, std::string>& options) {
  for (auto& [key, value] : options) {
    if (value == "yes") value = "on";
    if (value == "no") value = "off";
  }
}

// The registry takes everything as options: the first filter is the outermost there.
StoreSpec ToSpec(const StoreConfig& config) {
  StoreSpec spec{.name = config.name, .driver = config.driver, .options = config.options};
  if (!config.path.empty() && !IsInMemory(config)) spec.options["path"] = config.path;
  std::string filters;
  for (auto filter = config.filters.rbegin(); filter != config.filters.rend(); ++filter) {
    filters += (filters.empty() ? "" : ",") + filter->name;
    for (const auto& [key, value] : filter->options) {
      spec.options[filter->name + "." + key] = value;
    }
  }
  if (!filters.empty()) spec.options["filters"] = filters;
  SayOnAndOff(spec.options);
  return spec;
}

Status OfStore(const StoreConfig& config, const Status& status) {
  const std::string subject = "store " + config.name;
  return status.message().starts_with(subject) ? status : status.With(subject);
}

// A node that cannot remember its store is less careful the next time, and serves now.
void Remember(const KnownStore& place, const Uuid& uuid) {
  const Status status = place.Remember(uuid);
  if (!status.ok()) spdlog::warn("remembering which store was found: {}", status.message());
}

}  // namespace

bool IsInMemory(const StoreConfig& config) { return config.driver == "memory"; }

Result<Fd> MakePlaceInMemory(const StoreConfig& config) { return MakeMemoryPlace(ToSpec(config)); }

Result<std::unique_ptr<Store>> OpenConfiguredStore(const NodeConfig& config,
                                                   const StoreConfig& store, Executor& executor,
                                                   const StoreLinks& links) {
  const KnownStore place(config, store);
  Uuid known;
  if (!IsInMemory(store)) {
    ASSIGN_OR_RETURN(known, place.Read());
  }
  StoreSpec spec = ToSpec(store);
  spec.witnesses = links.witnesses;
  spec.memory_place = links.memory_place;
  auto opened = OpenStore(spec, executor, /*create=*/known.is_zero());
  if (opened.code() == Code::kNotFound && !known.is_zero()) {
    return place.Refuse(known, "holds no store");
  }
  if (!opened.ok()) return OfStore(store, opened.status());
  const Uuid found = (*opened)->info().uuid;
  if (known.is_zero() && !IsInMemory(store)) Remember(place, found);
  if (!known.is_zero() && found != known) {
    return place.Refuse(known, "is store " + found.ToString());
  }
  return *std::move(opened);
}

Status CheckConfiguredStore(const StoreConfig& store, Executor& executor) {
  // The driver looks at its options before it looks for a folder, which is not there.
  StoreConfig bare = store;
  bare.path = "/proc/self/fd/no-store";
  bare.filters.clear();
  const auto driver = OpenStore(ToSpec(bare), executor, /*create=*/false);
  if (driver.code() == Code::kInvalid || driver.code() == Code::kUnsupported) {
    return OfStore(store, driver.status());
  }
  // Filters are the same over any driver.
  bare.driver = "memory";
  bare.options.clear();
  bare.filters = store.filters;
  const auto filters = OpenStore(ToSpec(bare), executor, /*create=*/true);
  return filters.ok() ? Status() : OfStore(store, filters.status());
}

void NoteRole(const NodeConfig& config, StoreSlot slot, StoreSet* stores) {
  const StoreConfig& store = config.stores[slot];
  if (store.is_default) stores->SetDefault(slot);
  if (store.name == config.catalog) stores->SetCatalog(slot);
}

Status OpenConfiguredStores(const NodeConfig& config, Executor& executor, StoreSet* stores) {
  for (const StoreConfig& one : config.stores) {
    ASSIGN_OR_RETURN(auto store, OpenConfiguredStore(config, one, executor));
    stores->Add(std::move(store));
    NoteRole(config, static_cast<StoreSlot>(stores->size() - 1), stores);
  }
  return {};
}

}  // namespace atl
