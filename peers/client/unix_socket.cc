// SPDX-License-Identifier: Apache-2.0
#include "peers/client/unix_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace atl {
namespace {

constexpr int kBacklog = 64;
// A node that accepts nobody has a full backlog sooner or later, and who connects then waits.
constexpr timeval kConnectPatience{.tv_sec = 5, .tv_usec = 0};

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  if (path.size() > kMaxSocketPath) {
    return Status(Code::kInvalid, fmt::format("{}: the path of a socket has at most {} bytes", path,
                                              kMaxSocketPath));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> MakeSocket() {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  return fd;
}

Status LimitSending(const Fd& fd, timeval limit) {
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0) return {};
  return Status::FromErrno(errno, "SO_SNDTIMEO");
}

// What a process that has ended left there goes; whatever else lies there is somebody's.
Status RemoveLeftSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status() : Status::FromErrno(errno, path);
  }
  if (!S_ISSOCK(info.st_mode)) return {Code::kExists, path + " exists and is not a socket"};
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Status::FromErrno(errno, path);
  return {};
}

}  // namespace

Result<Fd> ConnectUnix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(Fd fd, MakeSocket());
  RETURN_IF_ERROR(LimitSending(fd, kConnectPatience));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EAGAIN) return Status(Code::kTimeout, path + ": nobody accepts the connection");
    return Status::FromErrno(errno, path);
  }
  RETURN_IF_ERROR(LimitSending(fd, {}));
  return fd;
}

Result<Fd> ListenUnix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(Fd fd, MakeSocket());
  RETURN_IF_ERROR(RemoveLeftSocket(path));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::FromErrno(errno, path);
  }
  // Nobody can connect before listen, so there is no moment at which others may.
  if (chmod(path.c_str(), 0600) != 0) return Status::FromErrno(errno, path);
  if (listen(fd.get(), kBacklog) != 0) return Status::FromErrno(errno, path);
  return fd;
}

Result<SocketPeer> PeerOfSocket(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Status::FromErrno(errno, "SO_PEERCRED");
  }
  return SocketPeer{credentials.pid, credentials.uid};
}

Task<Status> ReceiveAll(Executor& executor, int fd, MutSpan out) {
  while (!out.empty()) {
    const int got = co_await executor.ring().Recv(fd, out, MSG_WAITALL);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got == 0) co_return Status(Code::kUnavailable, "the connection is closed");
    if (got < 0) co_return Status(Code::kUnavailable, std::strerror(-got));
    out = out.subspan(static_cast<size_t>(got));
  }
  co_return Status();
}

Task<Status> SendAll(Executor& executor, int fd, ConstSpan data) {
  while (!data.empty()) {
    const int sent = co_await executor.ring().Send(fd, data, MSG_NOSIGNAL);
    if (sent == -EINTR || sent == -EAGAIN) continue;
    if (sent <= 0) co_return Status(Code::kUnavailable, std::strerror(-sent));
    data = data.subspan(static_cast<size_t>(sent));
  }
  co_return Status();
}

}  // namespace atl
