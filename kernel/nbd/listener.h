// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets. None of this waits for anything but the local kernel.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl::nbd {

// A Unix socket that owner and group may connect to. One that a dead server left behind is
// replaced, also while the kernel still ends what was in flight on it; of a live one it is kBusy.
// Removes its path when it goes, unless another has replaced it.
class UnixListener {
 public:
  static Result<UnixListener> Open(const std::string& path);
  UnixListener(UnixListener&& other) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  int fd() const { return fd_.get(); }

 private:
  UnixListener(Fd fd, std::string path);

  Fd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct TcpAddress {
  std::string host;       // Numeric, IPv4 or IPv6: names are never looked up.
  uint16_t port = 10809;  // 0: any; see PortOf.
};
Result<Fd> ListenTcp(const TcpAddress& address);
uint16_t PortOf(const Fd& listener);

// No delay for small replies, and a dead host is noticed in minutes. Nothing on a Unix socket.
void TuneClientSocket(int fd);
// Of one that has got through its handshake: kSendBufferBytes.
void TuneForReplies(int fd);

}  // namespace atl::nbd
