// SPDX-License-Identifier: Apache-2.0
//
// The daemon as a process: where its program is, how it is started and waited for.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tools/config/node_config.h"
#include "xseg/base/status.h"

namespace atl {

// $ATOLLD, or `atolld` beside the running program.
Result<std::string> FindDaemon();

// The daemon that holds the node's state folder now, if any. kPermission says who may ask.
Result<std::optional<pid_t>> RunningNode(const NodeConfig& config);
// Whether peers of an isolated node serve, whose daemon has died: the next one goes on with them.
bool HasOrphanedPeers(const NodeConfig& config);
// The same error for whoever was refused at the node's socket or its files.
Status NotPermitted(const NodeConfig& config);

// Whether the daemon could run this configuration, which it knows more of than the CLI.
Status CheckWithDaemon(const NodeConfig& config);

// Starts the daemon in the background, its streams in the node's log, and returns when it serves.
// An error says what the daemon said, or shows the end of its log.
Result<pid_t> StartDaemon(const NodeConfig& config);

// Becomes the daemon. Returns only if that fails.
Status BecomeDaemon(const NodeConfig& config);

// Asks it to end as SIGTERM does.
Status Terminate(pid_t pid);
// kTimeout if it still lives then.
Status WaitForEnd(pid_t pid, int64_t timeout_ns);
// Kills the process and waits for its end.
Status Kill(pid_t pid);

}  // namespace atl
