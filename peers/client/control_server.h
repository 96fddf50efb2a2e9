// SPDX-License-Identifier: Apache-2.0
//
// Serves an Atoll and a NodeControl at a Unix socket (mode 0600). Only root and the user that the
// node runs as are let in. At most kMaxConnections at once; one that misbehaves is cut off
// (control_session.h) and the others do not notice.
//
// Lifetime: Stop before it goes; what it serves outlives that.
// Threads: belongs to its executor's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/client/control_session.h"
#include "xseg/base/alarm.h"
#include "xseg/base/fd.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

inline constexpr size_t kMaxConnections = 128;

class ControlServer {
 public:
  // Listens when it returns. The caller holds the lock of the folder that the socket is in.
  static Result<std::unique_ptr<ControlServer>> Listen(const ControlHost& host,
                                                       const std::string& socket_path);
  ~ControlServer();

  // Lets nobody in any more, answers what is in flight, closes the devices that connections left
  // open, and removes the socket.
  Task<void> Stop();
  size_t connections() const { return sessions_.size(); }

 private:
  ControlServer(const ControlHost& host, std::string path, Fd socket);

  Task<void> AcceptAll();
  void Admit(Fd socket);
  Status MayEnter(int socket) const;
  Task<void> Serve(Fd socket);
  Task<void> WatchDeadlines();

  const ControlHost host_;
  const std::string path_;
  Fd socket_;
  bool stopping_ = false;
  bool watching_ = false;
  Alarm alarm_;
  std::vector<ControlSession*> sessions_;
  TaskGroup tasks_;
};

}  // namespace atl
