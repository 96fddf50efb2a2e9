// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/local_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "xseg/base/fd.h"
#include "xseg/base/stamp_clock.h"
#include "xseg/stamps.h"

namespace atl::local {
namespace {

// How often whoever waits looks whether the node is still there.
constexpr int64_t kLookNs = 100 * kMillisecond;
// Waking somebody who sleeps takes about as long, on either side.
constexpr int64_t kMostSpinNs = 200 * kMicrosecond;
// What is slept through of a deep queue, which a disk answers batch by batch, is lost to all of it.
constexpr unsigned kDeepQueue = 8;
constexpr int64_t kMostSpinOfDeepQueueNs = kMillisecond;

Status Failed(int error) {
  if (error == EAGAIN) return {Code::kTimeout, "the node does not answer"};
  return Status::FromErrno(error, "talking to the node");
}

Status SendAll(int socket, ConstSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Failed(errno);
    bytes = bytes.subspan(static_cast<size_t>(sent));
  }
  return {};
}

Status ReceiveAll(int socket, MutSpan out) {
  while (!out.empty()) {
    const ssize_t got = recv(socket, out.data(), out.size(), MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed(errno);
    if (got == 0) return {Code::kUnavailable, "the node has closed the connection"};
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

Status LimitWaiting(int socket) {
  const timeval limit{.tv_sec = LocalClient::kPatienceSeconds, .tv_usec = 0};
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(socket, SOL_SOCKET, direction, &limit, sizeof(limit)) != 0) {
      return Status::FromErrno(errno, "setsockopt");
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<LocalClient>> LocalClient::Connect(const std::string& socket,
                                                          const Wish& wish) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.empty() || socket.size() >= sizeof(address.sun_path)) {
    return Status(Code::kInvalid,
                  fmt::format("'{}' is no path of a socket, which has 1 to {} bytes", socket,
                              sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, socket.data(), socket.size());
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  RETURN_IF_ERROR(LimitWaiting(fd.get()));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::FromErrno(errno, socket);
  }
  return Negotiate(fd.get(), wish);
}

Result<std::unique_ptr<LocalClient>> LocalClient::Negotiate(int socket, const Wish& wish) {
  RETURN_IF_ERROR(SendAll(socket, MakeGreeting(wish)));
  Answer answer{};
  RETURN_IF_ERROR(ReceiveAll(socket, std::as_writable_bytes(std::span(&answer, 1))));
  RETURN_IF_ERROR(JudgeAnswer(answer));
  std::string text(answer.text_bytes, '\0');
  RETURN_IF_ERROR(ReceiveAll(socket, std::as_writable_bytes(std::span(text))));
  ASSIGN_OR_RETURN(const Facts facts, FactsOf(answer, text));
  ASSIGN_OR_RETURN(auto port, ClientPort::Receive(socket));
  return std::unique_ptr<LocalClient>(new LocalClient(facts, std::move(port)));
}

std::optional<Request> LocalClient::Prepare(Op op, ByteRange range, uint16_t flags) {
  auto request = port_->Prepare(op);
  if (!request) return request;
  request->set_flags(flags);
  if (op != kOpFlush) {
    const RangeArguments arguments{.offset = range.offset, .length = range.length};
    request->SetArguments(std::as_bytes(std::span(&arguments, 1)));
  }
  return request;
}

Status LocalClient::Outcome(const Request& answer) {
  if (answer.code() == Code::kOk) return {};
  const auto code = std::min(static_cast<int>(answer.code()), kCodeCount - 1);
  return {static_cast<Code>(code), std::string(AsText(answer.arguments()))};
}

std::optional<Request> LocalClient::Collect() {
  auto answer = port_->Collect();
  if (answer) {
    served_ns_ = NsBetween(answer->accepted_ns(), answer->answered_ns());
    --in_flight_;
  }
  return answer;
}

// What counts is how long the node takes once it is awake: that it was asleep, and how long that
// lasted, may be because we were, too.
int64_t LocalClient::SpinNs() const {
  const int64_t most_ns = in_flight_ < kDeepQueue ? kMostSpinNs : kMostSpinOfDeepQueueNs;
  return served_ns_ < most_ns ? most_ns : 0;
}

Status LocalClient::Wait(int64_t timeout_ns) {
  const int64_t end_ns = timeout_ns < 0 ? INT64_MAX : StampNowNs() + timeout_ns;
  AdaptiveSpin spin(SpinNs());
  while (true) {
    const int64_t left_ns = end_ns - StampNowNs();
    if (left_ns <= 0 || port_->Wait(spin, std::min(left_ns, kLookNs))) return {};
    const bool gone = port_->server_gone();
    // It may have answered before it went.
    if (port_->Wait(spin, 0)) return {};
    if (gone) return {Code::kUnavailable, "the node has gone"};
    spin = AdaptiveSpin(0);
  }
}

Result<Request> LocalClient::Call(Request&& request) {
  Submit(std::move(request));
  while (true) {
    if (auto answer = Collect()) return std::move(*answer);
    RETURN_IF_ERROR(Wait(-1));
  }
}

}  // namespace atl::local
