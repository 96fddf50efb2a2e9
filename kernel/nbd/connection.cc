// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/connection.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <utility>

#include "kernel/nbd/listener.h"

namespace atl::nbd {

Connection::Connection(const Shared& shared, Fd socket)
    : shared_(shared),
      socket_(std::move(socket)),
      accepted_ns_(shared.executor->BootNs()),
      handshake_alarm_(shared.executor) {
  shared_.watch->Add(this);
}

Connection::~Connection() { shared_.watch->Remove(this); }

Task<void> Connection::Run() {
  handshake_deadline_ns_ = accepted_ns_ + shared_.limits.handshake_timeout_ns;
  Spawn(WatchHandshake());
  const bool agreed = co_await Negotiate();
  handshake_over_ = true;
  handshake_alarm_.Cancel();
  while (watching_) co_await watch_ended_;
  if (agreed) {
    TuneForReplies(socket_.get());
    const auto stats = shared_.stats->Use(export_name_);
    session_.emplace(Session::Parts{.executor = shared_.executor,
                                    .socket = socket_.get(),
                                    .in = &in_,
                                    .device = device_.get(),
                                    .negotiated = handshake_.negotiated(),
                                    .limits = shared_.limits,
                                    .detect_zeroes = shared_.detect_zeroes,
                                    .stats = stats.get(),
                                    .watch = shared_.watch,
                                    .linger = shared_.linger});
    if (stopping_) session_->FinishSoon();
    co_await session_->Run();
    session_.reset();
  }
  if (device_) co_await device_->Close();
  device_.reset();
  socket_.Close();
}

// True if transmission begins.
Task<bool> Connection::Negotiate() {
  for (;;) {
    if (!co_await FlushOutput()) co_return false;
    switch (handshake_.need()) {
      case Handshake::Need::kBytes: {
        const size_t used = handshake_.Feed(in_.view());
        in_.Consume(used);
        const bool starved = handshake_.need() == Handshake::Need::kBytes;
        if (starved && handshake_.output().empty() && !co_await ReceiveMore()) co_return false;
        break;
      }
      case Handshake::Need::kList:
        co_await AnswerList();
        break;
      case Handshake::Need::kExport:
        co_await AnswerExport();
        break;
      case Handshake::Need::kTransmit:
        co_return device_ != nullptr;
      case Handshake::Need::kHangUp:
        spdlog::debug("nbd: hung up in the handshake: {}", handshake_.reason());
        co_return false;
    }
  }
}

Task<bool> Connection::ReceiveMore() {
  const int got = co_await shared_.executor->ring().Recv(socket_.get(), in_.Room());
  if (got <= 0) co_return false;
  in_.Filled(static_cast<size_t>(got));
  co_return true;
}

Task<bool> Connection::FlushOutput() {
  ConstSpan rest = handshake_.output();
  while (!rest.empty()) {
    const int sent = co_await shared_.executor->ring().Send(socket_.get(), rest);
    if (sent <= 0) co_return false;
    rest = rest.subspan(static_cast<size_t>(sent));
  }
  handshake_.output().clear();
  co_return true;
}

Task<void> Connection::AnswerList() {
  node_at_work_ = true;
  const int64_t begin_ns = shared_.executor->BootNs();
  handshake_.AnswerList(co_await shared_.catalog->List(handshake_.list_after()));
  handshake_deadline_ns_ += shared_.executor->BootNs() - begin_ns;
  node_at_work_ = false;
}

Task<void> Connection::AnswerExport() {
  node_at_work_ = true;
  const int64_t begin_ns = shared_.executor->BootNs();
  const std::string name = handshake_.export_name();
  if (handshake_.wants_open()) {
    auto opened = co_await shared_.catalog->Open(name);
    if (opened.ok()) {
      device_ = std::move(opened->device);
      export_name_ = opened->facts.name;
      handshake_.AnswerExport(std::move(opened->facts));
    } else {
      handshake_.AnswerExport(opened.status());
    }
  } else {
    handshake_.AnswerExport(co_await shared_.catalog->Look(name));
  }
  handshake_deadline_ns_ += shared_.executor->BootNs() - begin_ns;
  node_at_work_ = false;
}

Task<void> Connection::WatchHandshake() {
  watching_ = true;
  while (!handshake_over_) {
    const int64_t now_ns = shared_.executor->BootNs();
    int64_t until_ns = handshake_deadline_ns_;
    if (now_ns >= until_ns) {
      if (!node_at_work_) {
        CutOff("its handshake takes too long");
        break;
      }
      until_ns = now_ns + shared_.limits.handshake_timeout_ns;
    }
    co_await handshake_alarm_.Until(until_ns);
  }
  watching_ = false;
  watch_ended_.Wake();
}

void Connection::FinishSoon() {
  stopping_ = true;
  if (session_) session_->FinishSoon();
  if (socket_.valid()) shutdown(socket_.get(), SHUT_RD);
}

void Connection::CutOff(std::string_view why) {
  if (!why.empty()) {
    const char* of = export_name_.empty() ? "" : " of ";
    spdlog::info("nbd: a client{}{} is cut off: {}", of, export_name_, why);
  }
  stopping_ = true;
  if (session_) session_->FinishSoon();
  if (socket_.valid()) shutdown(socket_.get(), SHUT_RDWR);
}

BufferHolder::State Connection::buffer_state() const {
  return session_ ? session_->buffer_state() : BufferHolder::State{};
}

}  // namespace atl::nbd
