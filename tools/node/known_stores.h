// SPDX-License-Identifier: Apache-2.0
//
// Which store a node has found at each place of its configuration, kept in its state folder:
// STATE/stores/NAME has a line "UUID PATH" for each path that the store of this name has had. A
// place that is empty, or holds another store, where the node knew one is a file system that is not
// mounted far more often than a wish to begin anew.
//
// Blocks; for the start of a program. Each store has a file of its own, so that peers which open
// one store each do not meet.
#pragma once

#include <string>

#include "tools/config/node_config.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"

namespace atl {

class KnownStore {
 public:
  KnownStore(const NodeConfig& config, const StoreConfig& store);

  // Zero if there was none.
  Result<Uuid> Read() const;
  // Durable when it returns. For a place at which none was known.
  Status Remember(const Uuid& uuid) const;
  // Says what is known, what to look at, and how to begin anew; `found` is what is there instead.
  Status Refuse(const Uuid& known, const std::string& found) const;

 private:
  const StoreConfig& store_;
  std::string folder_;
  std::string file_;
};

}  // namespace atl
