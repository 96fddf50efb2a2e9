// SPDX-License-Identifier: Apache-2.0
//
// Which incarnation has a node's state folder, and which had it before. The folder's lock is held,
// so the one before is dead.
#pragma once

#include <string>

#include "peers/composer/composer.h"
#include "peers/volumes/lease.h"
#include "tools/config/node_config.h"

namespace atl {

// From STATE/incarnation; zero if there was none.
Result<Uuid> ReadPredecessor(const std::string& state_dir);
// Written before the first lock is taken, so that the next one finds it.
Status WriteIncarnation(const std::string& state_dir, const Uuid& incarnation);

NodeIdentity MakeIdentity(const NodeConfig& config, const Uuid& incarnation);
ComposerOptions MakeComposerOptions(const NodeConfig& config);

}  // namespace atl
