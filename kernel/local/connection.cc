// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/connection.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <span>
#include <utility>

#include "peers/client/unix_socket.h"

namespace atl::local {
namespace {

static_assert(kMaxNameInGreeting == kMaxNameBytes);

// A client says which mode it wants and gets no other.
Status CheckMode(const ResourceInfo& info, Mode mode) {
  if (mode == Mode::kReadOnly) return {};
  if (info.kind == ResourceKind::kSnapshot) {
    return {Code::kReadOnly, fmt::format("snapshot {} can be opened for reading only", info.name)};
  }
  if (info.read_only_reason.empty()) return {};
  return {Code::kReadOnly,
          fmt::format("volume {} is read-only: {}", info.name, info.read_only_reason)};
}

Facts FactsOf(const DeviceInfo& info) {
  return {.size = info.size,
          .logical_block = info.logical_block,
          .physical_block = info.physical_block,
          .max_request = static_cast<uint32_t>(kMaxRequest),
          .read_only = info.read_only,
          .uuid = info.uuid};
}

}  // namespace

Connection::Connection(const Shared& shared, Fd socket)
    : shared_(shared), socket_(std::move(socket)), greeting_alarm_(shared.executor) {}

Task<void> Connection::Run() {
  const Status agreed = co_await Negotiate();
  if (agreed.ok()) {
    co_await Serve();
  } else if (!stopping_) {
    spdlog::debug("local: a client is sent away: {}", agreed.ToString());
    (void)co_await SendAll(*shared_.executor, socket_.get(), MakeRefusal(agreed));
  }
  client_.reset();
  if (device_) co_await device_->Close();
  device_.reset();
  socket_.Close();
  if (is_served_) --*shared_.served;
}

Status Connection::TakePlace() {
  if (*shared_.served >= shared_.limits.max_clients) {
    return {Code::kLimit,
            fmt::format("{} local clients are connected, which is the most", *shared_.served)};
  }
  ++*shared_.served;
  is_served_ = true;
  return {};
}

Task<Status> Connection::Negotiate() {
  auto wish = co_await ReceiveWish();
  CO_RETURN_IF_ERROR(wish.status());
  // Only now: who is answered before it has said everything may hear nothing but the hang-up.
  CO_RETURN_IF_ERROR(TakePlace());
  CO_RETURN_IF_ERROR(co_await Open(*std::move(wish)));
  ClientSession::Options options;
  options.geometry = shared_.limits.geometry;
  options.max_op = kLastOp;
  options.max_buffer_bytes = kMaxRequest;
  CO_ASSIGN_OR_RETURN(client_, ClientSession::Create(options));
  co_return OkStatus();
}

Task<Result<Wish>> Connection::ReceiveWish() {
  watching_.Run(WatchGreeting());
  Greeting greeting{};
  Wish wish;
  Status status = co_await ReceiveAll(*shared_.executor, socket_.get(),
                                      std::as_writable_bytes(std::span(&greeting, 1)));
  if (status.ok()) status = JudgeGreeting(greeting);
  if (status.ok()) {
    wish.mode = static_cast<Mode>(greeting.mode);
    wish.name.resize(greeting.name_bytes);
    status = co_await ReceiveAll(*shared_.executor, socket_.get(),
                                 std::as_writable_bytes(std::span(wish.name)));
  }
  greeting_alarm_.Cancel();
  co_await watching_.Join();
  if (status.ok()) status = ValidateName(wish.name);
  CO_RETURN_IF_ERROR(status);
  co_return wish;
}

Task<void> Connection::WatchGreeting() {
  const int64_t until_ns = shared_.executor->BootNs() + shared_.limits.greeting_timeout_ns;
  if (!co_await greeting_alarm_.Until(until_ns)) co_return;
  spdlog::info("local: a client is cut off: its greeting takes too long");
  shutdown(socket_.get(), SHUT_RDWR);
}

Task<Status> Connection::Open(Wish wish) {
  name_ = wish.name;
  const ResourceRef ref = ResourceRef::Named(std::move(wish.name));
  CO_ASSIGN_OR_RETURN(const ResourceInfo info, co_await shared_.atoll->Show(ref, false));
  CO_RETURN_IF_ERROR(CheckMode(info, wish.mode));
  const OpenMode mode = wish.mode == Mode::kReadOnly ? OpenMode::kReadOnly : OpenMode::kReadWrite;
  CO_ASSIGN_OR_RETURN(device_, co_await shared_.atoll->Open(ref, mode));
  co_return OkStatus();
}

Task<void> Connection::Serve() {
  const Status sent =
      co_await SendAll(*shared_.executor, socket_.get(), MakeAnswer(FactsOf(device_->info())));
  if (!sent.ok() || stopping_ || !client_->Offer(socket_.get()).ok()) co_return;
  socket_.Close();
  const auto stats = shared_.stats->Use(name_);
  session_.emplace(Session::Parts{.executor = shared_.executor,
                                  .client = client_.get(),
                                  .device = device_.get(),
                                  .stats = stats.get()});
  co_await session_->Run();
  if (session_->end().code() == Code::kInvalid) {
    spdlog::warn("local: process {} is cut off from {}: {}", client_->peer().pid, name_,
                 session_->end().message());
  }
  session_.reset();
}

void Connection::CutOff() { shutdown(socket_.get(), SHUT_RDWR); }

void Connection::FinishSoon() {
  stopping_ = true;
  if (session_) session_->FinishSoon();
  if (socket_.valid()) shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace atl::local
