// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "kernel/nbd/limits.h"
#include "xseg/base/process.h"

namespace atl::nbd {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kSocketMode = 0660;

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Status(Code::kInvalid,
                  fmt::format("the path of a Unix socket has 1 to {} bytes, '{}' has {}",
                              sizeof(address.sun_path) - 1, path, path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Whether somebody listens there. A listening socket may answer for a moment after its process was
// killed, since the kernel ends what that process had in flight on it behind its back; so the
// process that listened is looked at, too. One that cannot be seen (pid 0: another namespace)
// counts as alive.
bool SomebodyListens(const sockaddr_un& address) {
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (connect(probe.get(), raw, sizeof(address)) != 0) return errno != ECONNREFUSED;
  ucred listener{};
  socklen_t length = sizeof(listener);
  if (getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &listener, &length) != 0) return true;
  return listener.pid == 0 || IsAlive({.pid = static_cast<uint32_t>(listener.pid)});
}

Status Bind(const Fd& fd, const sockaddr_un& address, const std::string& path) {
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (bind(fd.get(), raw, sizeof(address)) == 0) return {};
  if (errno != EADDRINUSE) return Status::FromErrno(errno, "bind " + path);
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return {Code::kExists, path + " exists and is not a socket"};
  }
  if (SomebodyListens(address)) return {Code::kBusy, "somebody listens on " + path};
  unlink(path.c_str());
  if (bind(fd.get(), raw, sizeof(address)) == 0) return {};
  return Status::FromErrno(errno, "bind " + path);
}

}  // namespace

UnixListener::UnixListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {
  struct stat info{};
  if (lstat(path_.c_str(), &info) != 0) return;
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

Result<UnixListener> UnixListener::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  RETURN_IF_ERROR(Bind(fd, address, path));
  UnixListener listener(std::move(fd), path);
  // Nobody can connect before listen.
  if (chmod(path.c_str(), kSocketMode) != 0) return Status::FromErrno(errno, "chmod " + path);
  if (listen(listener.fd(), kBacklog) != 0) return Status::FromErrno(errno, "listen " + path);
  return listener;
}

UnixListener::~UnixListener() {
  if (!fd_.valid()) return;
  struct stat info;
  if (lstat(path_.c_str(), &info) != 0) return;
  if (info.st_dev == device_ && info.st_ino == inode_) unlink(path_.c_str());
}

Result<Fd> ListenTcp(const TcpAddress& address) {
  const std::string what = fmt::format("tcp {} port {}", address.host, address.port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return Status(Code::kInvalid, what + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Fd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket for " + what);
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return Status::FromErrno(errno, "bind " + what);
  }
  if (listen(fd.get(), kBacklog) != 0) return Status::FromErrno(errno, "listen " + what);
  return fd;
}

uint16_t PortOf(const Fd& listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void TuneClientSocket(int fd) {
  int domain = AF_UNIX;
  socklen_t length = sizeof(domain);
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
  if (domain == AF_UNIX) return;
  const int one = 1, idle_s = 60, interval_s = 15, probes = 4;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void TuneForReplies(int fd) {
  int domain = AF_INET;
  socklen_t length = sizeof(domain);
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
  if (domain != AF_UNIX) return;  // TCP sizes its buffers itself.
  // Beyond the system's limit only for who may; others get as much as it allows.
  const int bytes = kSendBufferBytes;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0) return;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

}  // namespace atl::nbd
