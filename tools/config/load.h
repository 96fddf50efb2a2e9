// SPDX-License-Identifier: Apache-2.0
//
// Finds, reads and writes a node's configuration. Blocking; for the start of a program.
#pragma once

#include <string>
#include <string_view>

#include "tools/config/node_config.h"
#include "xseg/base/status.h"

namespace atl {

// `given` (of --config) if it is not empty, else $ATOLL_CONFIG, else ./var/atoll.conf, else
// /etc/atoll/atoll.conf, whichever exists first. kNotFound says where was looked.
Result<std::string> FindConfig(std::string_view given);

// kInvalid: "file:line: what is wrong"; kNotFound: the file is absent.
Result<NodeConfig> LoadConfig(const std::string& path);
// What is needed to talk to a node that was started from this file before somebody broke it: where
// its state and its sockets are, and no stores. `wrong` is what is wrong with the file, if
// anything. If the file does not say where the state is, that is the error: it might be another
// node's.
Result<NodeConfig> LoadConfigOfRunningNode(const std::string& path, Status* wrong);
// As LoadConfig, for a text that is at hand; `path` must be absolute.
Result<NodeConfig> ParseConfig(std::string_view text, const std::string& path);

// A commented file that starts a node with one local store, for a state folder that holds it.
std::string InitialConfig(Placement placement);

}  // namespace atl
