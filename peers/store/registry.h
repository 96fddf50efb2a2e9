// SPDX-License-Identifier: Apache-2.0
//
// From configuration to a store: which drivers and filters there are, and what they are told.
//
//   driver = file                 # a row of the table in registry/drivers.cc
//   path = /srv/atoll             # options of the driver
//   filters = checked,error       # the first one is outermost
//   error.ops = write,sync        # options of a filter, behind its name and a dot
//   error.per_million = 100
//
// Library: atoll_store_registry.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "peers/store/store.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"

namespace atl {

class MemoryWorld;
class WitnessBox;

struct StoreSpec {
  std::string name;    // By which volumes name it.
  std::string driver;  // "memory", "file", ...
  std::map<std::string, std::string> options = {};
  // Shared by all stores that are given it, and outlives them. Null: each memory store is a world
  // of its own.
  MemoryWorld* memory_world = nullptr;
  // Of a file store (FileStoreOptions).
  WitnessBox* witnesses = nullptr;
  // Where a store of driver memory is, so that it outlives this process (MakeMemoryPlace). Empty:
  // in this process.
  std::string memory_place = {};
};

// Opens the store; with `create` makes it if there is none. An unknown driver, filter or option is
// kInvalid, naming it and what there is. Blocks; for the start of a program.
Result<std::unique_ptr<Store>> OpenStore(const StoreSpec& config, Executor& executor, bool create);

// A file system in memory for a store of driver memory. It is gone when the last descriptor of it
// is closed. kPermission without the right to mount.
Result<Fd> MakeMemoryPlace(const StoreSpec& config);

// For `--help` and for completion.
std::vector<std::string> StoreDrivers();
std::vector<std::string> StoreFilters();

}  // namespace atl
