// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace atl::local {
namespace {

// How long to wait for descriptors or memory before the next client is accepted.
constexpr int64_t kAcceptPauseNs = 100 * kMillisecond;

// How long a predecessor that is on its way out may still listen.
constexpr int kPredecessorTries = 50;
constexpr int64_t kPredecessorPauseNs = 20 * kMillisecond;

bool IsShortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

}  // namespace

LocalServer::LocalServer(Executor* executor, Atoll* atoll, ServerOptions options)
    : executor_(executor),
      atoll_(atoll),
      options_(std::move(options)),
      stats_(options_.limits.max_idle_stats) {}

LocalServer::~LocalServer() { CHECK(!started_ || stopped_) << "a server is stopped first"; }

Task<Status> LocalServer::Start() {
  CHECK(!started_) << "a server is started once";
  CO_ASSIGN_OR_RETURN(nbd::UnixListener listener, co_await Listen());
  listener_.emplace(std::move(listener));
  started_ = true;
  tasks_.Run(Accept());
  co_return OkStatus();
}

Task<Result<nbd::UnixListener>> LocalServer::Listen() {
  for (int tries = 1;; ++tries) {
    auto listener = nbd::UnixListener::Open(options_.path);
    if (listener.status().code() != Code::kBusy || tries == kPredecessorTries) co_return listener;
    co_await executor_->Sleep(kPredecessorPauseNs);
  }
}

Task<void> LocalServer::Accept() {
  while (!stopping_) {
    const int got = co_await executor_->ring().Accept(listener_->fd());
    if (got >= 0) {
      Admit(Fd(got));
    } else if (IsShortage(got)) {
      spdlog::warn("local: cannot accept a client: {}", std::strerror(-got));
      co_await executor_->Sleep(kAcceptPauseNs);
    } else if (got != -ECONNABORTED && got != -EINTR && got != -EAGAIN) {
      if (!stopping_) spdlog::error("local: accept: {}", std::strerror(-got));
      co_return;
    }
  }
}

void LocalServer::Admit(Fd socket) {
  if (stopping_) return;
  MakeRoom();
  const Connection::Shared shared{.executor = executor_,
                                  .atoll = atoll_,
                                  .stats = &stats_,
                                  .limits = options_.limits,
                                  .served = &served_};
  tasks_.Run(Serve(std::make_unique<Connection>(shared, std::move(socket))));
}

// As many may be in their greeting as may be served; then the one goes that has been longest.
void LocalServer::MakeRoom() {
  size_t greeting = 0;
  Connection* oldest = nullptr;
  for (const auto& [number, connection] : connections_) {
    if (connection->is_served()) continue;
    if (oldest == nullptr) oldest = connection;
    ++greeting;
  }
  if (greeting >= options_.limits.max_clients) oldest->CutOff();
}

Task<void> LocalServer::Serve(std::unique_ptr<Connection> connection) {
  // A local, since a parameter would live until somebody destroys the frame.
  const std::unique_ptr<Connection> mine = std::move(connection);
  const uint64_t number = accepted_++;
  connections_.emplace(number, mine.get());
  co_await mine->Run();
  connections_.erase(number);
}

Task<void> LocalServer::Stop(StopMode) {
  if (!started_ || stopped_) co_return;
  if (!stopping_) {
    stopping_ = true;
    shutdown(listener_->fd(), SHUT_RDWR);  // Wakes who waits in accept.
    for (const auto& [number, connection] : connections_) connection->FinishSoon();
  }
  co_await tasks_.Join();
  if (stopped_) co_return;
  stopped_ = true;
  listener_.reset();
}

std::vector<PortStats> LocalServer::Stats() const {
  std::vector<PortStats> rows = stats_.Rows();
  for (PortStats& row : rows) row.port = "local";
  return rows;
}

}  // namespace atl::local
