// SPDX-License-Identifier: Apache-2.0
#include "peers/client/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "peers/client/unix_socket.h"

namespace atl {
namespace {

// After an accept that failed for want of descriptors.
constexpr int64_t kAcceptPause = 100 * kMillisecond;

}  // namespace

ControlServer::ControlServer(const ControlHost& host, std::string path, Fd socket)
    : host_(host), path_(std::move(path)), socket_(std::move(socket)), alarm_(host.executor) {
  tasks_.Run(AcceptAll());
}

ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::Listen(const ControlHost& host,
                                                             const std::string& socket_path) {
  ASSIGN_OR_RETURN(Fd socket, ListenUnix(socket_path));
  return std::unique_ptr<ControlServer>(new ControlServer(host, socket_path, std::move(socket)));
}

Task<void> ControlServer::Stop() {
  stopping_ = true;
  shutdown(socket_.get(), SHUT_RDWR);
  for (ControlSession* session : sessions_) session->HangUp();
  co_await tasks_.Join();
  unlink(path_.c_str());
}

Task<void> ControlServer::AcceptAll() {
  while (!stopping_) {
    Fd socket(co_await host_.executor.ring().Accept(socket_.get()));
    if (stopping_) break;
    if (socket.valid()) {
      Admit(std::move(socket));
    } else {
      co_await host_.executor.Sleep(kAcceptPause);
    }
  }
}

void ControlServer::Admit(Fd socket) {
  const Status status = MayEnter(socket.get());
  if (status.ok()) {
    tasks_.Run(Serve(std::move(socket)));
    return;
  }
  // Fits into the buffer of a fresh socket, so this does not block.
  FrameHeader header;
  header.kind = FrameKind::kReply;
  const Bytes frame = MakeFrame(header, MakeReplyBody(status));
  [[maybe_unused]] const ssize_t sent =
      send(socket.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Status ControlServer::MayEnter(int socket) const {
  if (sessions_.size() >= kMaxConnections) {
    return {Code::kLimit, "the node has too many connections"};
  }
  ASSIGN_OR_RETURN(const SocketPeer peer, PeerOfSocket(socket));
  if (peer.uid != 0 && peer.uid != geteuid()) {
    return {Code::kPermission, "the node answers only to its own user and to root"};
  }
  return {};
}

Task<void> ControlServer::Serve(Fd socket) {
  ControlSession session(host_, std::move(socket));
  sessions_.push_back(&session);
  if (!std::exchange(watching_, true)) tasks_.Run(WatchDeadlines());
  co_await session.Run();
  std::erase(sessions_, &session);
  if (sessions_.empty()) alarm_.Ring();
}

Task<void> ControlServer::WatchDeadlines() {
  while (!sessions_.empty()) {
    const int64_t step = std::min(host_.message_time_ns, kSecond);
    co_await alarm_.Sleep(step);
    for (ControlSession* session : sessions_) session->CheckDeadlines(host_.executor.BootNs());
  }
  watching_ = false;
}

}  // namespace atl
