// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/ready.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace atl {
namespace {

// The datagram of systemd's notification protocol. A leading '@' is an abstract socket.
void NotifyManager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const Fd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  [[maybe_unused]] const ssize_t sent =
      sendto(socket_fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

}  // namespace

ReadyNotifier::ReadyNotifier(int pipe_fd) : pipe_(pipe_fd) {
  if (pipe_.valid()) fcntl(pipe_.get(), F_SETFD, FD_CLOEXEC);
}

void ReadyNotifier::Ready() {
  Tell("ready\n");
  NotifyManager("READY=1");
}

void ReadyNotifier::Failed(const std::string& message) { Tell("error " + message + "\n"); }

void ReadyNotifier::Tell(const std::string& line) {
  if (!pipe_.valid()) return;
  [[maybe_unused]] const ssize_t put = write(pipe_.get(), line.data(), line.size());
  pipe_.Close();
}

}  // namespace atl
