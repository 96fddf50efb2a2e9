// SPDX-License-Identifier: Apache-2.0
//
// Both sides of a client segment on an executor.
//
// Threads: the executor's. Each outlives whoever awaits it; executor, port and session outlive it.
#pragma once

#include <functional>
#include <utility>

#include "xseg/base/executor.h"
#include "xseg/call_table.h"
#include "xseg/client_port.h"
#include "xseg/client_session.h"

namespace atl {

// The client's: `Request answer = co_await poller.Call(std::move(request))`.
class ClientPoller final : public Poller {
 public:
  ClientPoller(Executor* executor, ClientPort* port)
      : executor_(executor), port_(port), calls_(port->slots()) {
    executor_->AddPoller(this);
  }
  ~ClientPoller() override { executor_->RemovePoller(this); }

  auto Call(Request request) {
    return CallAwaiter(&calls_, std::move(request),
                       [this](Request r) { port_->Submit(std::move(r)); });
  }

  bool Poll() override {
    bool any = false;
    while (auto answer = port_->Collect()) {
      calls_.Deliver(*answer);
      any = true;
    }
    return any;
  }
  bool PrepareSleep() override { return port_->PrepareSleep(); }
  void Woken() override { port_->Woken(); }
  int doorbell_fd() const override { return port_->doorbell_fd(); }

 private:
  Executor* executor_;
  ClientPort* port_;
  CallTable calls_;
};

// The server's: requests go to one function, the reason to cut the client off to another, once.
class ClientSessionPoller final : public Poller {
 public:
  using OnBroken = std::function<void(Status)>;
  ClientSessionPoller(Executor* executor, ClientSession* session,
                      ClientSession::OnRequest on_request, OnBroken on_broken)
      : executor_(executor),
        session_(session),
        on_request_(std::move(on_request)),
        on_broken_(std::move(on_broken)) {
    executor_->AddPoller(this);
  }
  ~ClientSessionPoller() override { executor_->RemovePoller(this); }

  // `on_broken` must not destroy this poller; it may arrange for it.
  bool Poll() override {
    if (broken_) return false;
    bool any = false;
    const Status status = session_->Poll(on_request_, &any);
    if (status.ok()) return any;
    broken_ = true;
    on_broken_(status);
    return true;
  }
  bool PrepareSleep() override { return session_->PrepareSleep(); }
  void Woken() override { session_->Woken(); }
  int doorbell_fd() const override { return session_->doorbell_fd(); }

 private:
  Executor* executor_;
  ClientSession* session_;
  ClientSession::OnRequest on_request_;
  OnBroken on_broken_;
  bool broken_ = false;
};

}  // namespace atl
