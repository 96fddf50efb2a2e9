// SPDX-License-Identifier: Apache-2.0
//
// Which process it is. A pid alone is used again; with the time at which its process started
// it names one process of this boot.
#pragma once

#include <cstdint>

namespace atl {

struct ProcessId {
  uint32_t pid = 0;
  uint64_t start_ticks = 0;  // Field 22 of /proc/PID/stat; 0 if it is not known.

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

ProcessId ThisProcess();
// Names the pid namespace in which this process sees pids, among those of this boot; 0 if it is not
// known. The pids of another one (a container's) mean nothing here.
uint64_t ThisPidNamespace();
// False once the process has ended, a zombie included. With start_ticks 0 any process of that pid
// counts.
bool IsAlive(const ProcessId& process);

}  // namespace atl
