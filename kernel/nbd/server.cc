// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/server.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace atl::nbd {
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

NbdServer::NbdServer(Executor* executor, Atoll* atoll, ServerOptions options)
    : executor_(executor),
      options_(std::move(options)),
      catalog_(atoll),
      stats_(options_.limits.max_idle_stats),
      watch_(executor, options_.limits),
      grace_(executor) {}

NbdServer::~NbdServer() { CHECK(!started_ || stopped_) << "a server is stopped first"; }

Task<Status> NbdServer::Start() {
  CHECK(!started_) << "a server is started once";
  if (!options_.unix_path.empty()) {
    auto listener = co_await ListenUnix();
    if (!listener.ok()) co_return listener.status();
    unix_.emplace(*std::move(listener));
  }
  if (options_.tcp) {
    auto listener = ListenTcp(*options_.tcp);
    if (!listener.ok()) {
      unix_.reset();
      co_return listener.status();
    }
    tcp_.emplace(*std::move(listener));
  }
  started_ = true;
  linger_.emplace(executor_);
  if (unix_) tasks_.Run(AcceptFrom(unix_->fd()));
  if (tcp_) tasks_.Run(AcceptFrom(tcp_->get()));
  co_return OkStatus();
}

Task<Result<UnixListener>> NbdServer::ListenUnix() {
  for (int tries = 1;; ++tries) {
    auto listener = UnixListener::Open(options_.unix_path);
    if (listener.status().code() != Code::kBusy || tries == kPredecessorTries) co_return listener;
    co_await executor_->Sleep(kPredecessorPauseNs);
  }
}

Task<void> NbdServer::AcceptFrom(int listener) {
  while (!stopping_) {
    const int got = co_await executor_->ring().Accept(listener);
    if (got >= 0) {
      Admit(Fd(got));
    } else if (IsShortage(got)) {
      spdlog::warn("nbd: cannot accept a client: {}", std::strerror(-got));
      co_await executor_->Sleep(kAcceptPauseNs);
    } else if (got != -ECONNABORTED && got != -EINTR && got != -EAGAIN) {
      if (!stopping_) spdlog::error("nbd: accept: {}", std::strerror(-got));
      co_return;
    }
  }
}

void NbdServer::Admit(Fd socket) {
  if (stopping_) return;
  if (connections_.size() >= options_.limits.max_connections && !MakeRoom()) {
    ++refused_;
    spdlog::warn("nbd: a client is refused, {} are connected", connections_.size());
    return;
  }
  TuneClientSocket(socket.get());
  const Connection::Shared shared{.executor = executor_,
                                  .catalog = &catalog_,
                                  .stats = &stats_,
                                  .watch = &watch_,
                                  .linger = &*linger_,
                                  .limits = options_.limits.connection,
                                  .detect_zeroes = options_.detect_zeroes};
  tasks_.Run(Serve(std::make_unique<Connection>(shared, std::move(socket))));
}

// So that clients which only connect keep nobody out: an honest one needs its place in the
// handshake for moments.
bool NbdServer::MakeRoom() {
  Connection* oldest = nullptr;
  for (Connection* connection : connections_) {
    if (!connection->is_unproven()) continue;
    if (oldest == nullptr || connection->accepted_ns() < oldest->accepted_ns()) oldest = connection;
  }
  if (oldest == nullptr) return false;
  oldest->CutOff("another one needs its place before its handshake is done");
  return true;
}

Task<void> NbdServer::Serve(std::unique_ptr<Connection> connection) {
  // A local, since a parameter would live until somebody destroys the frame.
  const std::unique_ptr<Connection> mine = std::move(connection);
  connections_.insert(mine.get());
  co_await mine->Run();
  connections_.erase(mine.get());
}

Task<void> NbdServer::Stop(StopMode mode) {
  if (!started_ || stopped_) co_return;
  if (mode == StopMode::kNow) CutAll("");
  if (!stopping_) {
    stopping_ = true;
    // Wakes who waits in accept.
    if (unix_) shutdown(unix_->fd(), SHUT_RDWR);
    if (tcp_) shutdown(tcp_->get(), SHUT_RDWR);
    for (Connection* connection : connections_) connection->FinishSoon();
    late_.Run(CutLate());
  }
  co_await tasks_.Join();
  grace_.Cancel();
  co_await late_.Join();
  if (stopped_) co_return;
  stopped_ = true;
  co_await watch_.Close();
  linger_.reset();
  unix_.reset();
  tcp_.reset();
}

Task<void> NbdServer::CutLate() {
  const bool late = co_await grace_.Until(executor_->BootNs() + options_.limits.stop_grace_ns);
  if (late) CutAll("it is not done in the time that a stopping server gives");
}

void NbdServer::CutAll(std::string_view why) {
  for (Connection* connection : connections_) connection->CutOff(why);
}

}  // namespace atl::nbd
