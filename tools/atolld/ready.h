// SPDX-License-Identifier: Apache-2.0
//
// Tells whoever started the daemon how the start went: over a pipe ("ready" or "error MESSAGE", one
// line, then the end) and, under a service manager, to $NOTIFY_SOCKET. Each is told once.
#pragma once

#include <string>

#include "xseg/base/fd.h"

namespace atl {

class ReadyNotifier {
 public:
  // `pipe_fd` is owned from now on; -1: there is none.
  explicit ReadyNotifier(int pipe_fd);

  void Ready();
  // Only to whoever started it: nothing serves.
  void Checked() { Tell("ready\n"); }
  void Failed(const std::string& message);

 private:
  void Tell(const std::string& line);
  Fd pipe_;
};

}  // namespace atl
