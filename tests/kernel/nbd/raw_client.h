// SPDX-License-Identifier: Apache-2.0
//
// A client that says exactly what a test tells it to, also what no honest one would.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "tests/kernel/nbd/script.h"
#include "xseg/base/check.h"
#include "xseg/base/fd.h"

namespace atl::nbd {

class RawClient {
 public:
  explicit RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    connected_ = connect(fd_.get(), raw, sizeof(address)) == 0;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  // False if the server has closed.
  bool Say(ConstSpan bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
  }
  // As much as the socket takes at once.
  size_t Push(ConstSpan bytes) {
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  // Exactly `count` bytes, or fewer if the server closes or `timeout_ms` is over.
  Bytes Hear(size_t count, int timeout_ms = 10'000) {
    Bytes out(count);
    size_t have = 0;
    while (have < count && Wait(timeout_ms)) {
      const ssize_t got = recv(fd_.get(), out.data() + have, count - have, 0);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    out.resize(have);
    return out;
  }
  // Whether the server closes within the time; what it says before is dropped.
  bool IsClosed(int timeout_ms = 10'000) {
    std::byte buffer[4096];
    while (Wait(timeout_ms)) {
      if (recv(fd_.get(), buffer, sizeof(buffer), 0) <= 0) return true;
    }
    return false;
  }
  void Close() { fd_.Close(); }

  // Through the handshake, with structured replies and block status.
  bool Open(std::string_view name) {
    if (Hear(18).size() != 18) return false;
    Script script;
    script.ClientFlags(3).Option(8).Option(7, InfoData(name));
    return Say(script) && Hear(20 + 32 + 20).size() == 72;
  }

 private:
  bool Wait(int timeout_ms) {
    pollfd entry{fd_.get(), POLLIN, 0};
    return poll(&entry, 1, timeout_ms) > 0;
  }
  Fd fd_;
  bool connected_ = false;
};

}  // namespace atl::nbd
