// SPDX-License-Identifier: Apache-2.0
//
// Unix stream sockets over an executor: making them, and moving whole messages through them.
#pragma once

#include <sys/types.h>

#include <string>

#include "xseg/base/bytes.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

// What a socket's address has room for.
inline constexpr size_t kMaxSocketPath = 107;

// Connects now; a Unix socket does not keep one waiting.
Result<Fd> ConnectUnix(const std::string& path);
// A socket that listens at `path` with mode 0600, in place of one that a dead process left there.
// Only for who holds the lock of the folder it is in.
Result<Fd> ListenUnix(const std::string& path);

struct SocketPeer {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<SocketPeer> PeerOfSocket(int fd);

// Fills `out`. kUnavailable if the other side has closed or anything failed.
Task<Status> ReceiveAll(Executor& executor, int fd, MutSpan out);
Task<Status> SendAll(Executor& executor, int fd, ConstSpan data);

}  // namespace atl
