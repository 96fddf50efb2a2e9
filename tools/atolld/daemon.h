// SPDX-License-Identifier: Apache-2.0
//
// `atolld`: one node as a process. It takes the state folder's lock, starts the node, serves the
// control socket, says that it is ready, and stops gracefully on SIGTERM, SIGINT or request; a
// second signal ends it at once, which loses nothing that was acknowledged.
//
//   lock -> node starts -> control socket -> ready -> (signal | request) -> control socket ends
//        -> node stops -> exit 0
#pragma once

#include "tools/config/node_config.h"

namespace atl {

struct DaemonOptions {
  int ready_fd = -1;  // A pipe to whoever started it; -1: none.
};

// Returns the exit code: 0 after a graceful stop, 1 if it could not start.
int RunDaemon(const NodeConfig& config, DaemonOptions options);

// Says on the same pipe, or on stderr, whether the configuration could be run; changes nothing.
int CheckOnly(const NodeConfig& config, DaemonOptions options);

// The program: reads arguments and configuration, sets up the log, runs the daemon.
int DaemonMain(int argc, char** argv);

}  // namespace atl
