// SPDX-License-Identifier: Apache-2.0
//
// Serves a port from an executor, or from another Env: requests that come in go to a function,
// answers resume the coroutine that called.
//
//   PortPoller poller(&executor, port.get(), [&](Request r) { Spawn(Serve(std::move(r))); });
//
//   Task<Status> Ask(PortPoller& poller, PortIndex store) {
//     Request request = co_await poller.Prepare(kOpRead);   // Waits while all slots are out.
//     Request answer = co_await poller.Call(std::move(request), store);
//     ...
//
// While the executor is awake nobody rings; it sleeps in its io_uring on the port's eventfd. Those
// to whom something was sent in a turn are rung at its end, each once.
//
// Threads: the Env's. It outlives whoever awaits it; the port and the Env outlive it.
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <utility>

#include "xseg/base/env.h"
#include "xseg/call_table.h"
#include "xseg/port.h"

namespace atl {

class PortPoller final : public Poller {
 public:
  using OnRequest = std::function<void(Request)>;

  // `on_request` may be empty for a port that only sends: what comes in is then answered with
  // kUnsupported.
  PortPoller(Env* env, Port* port, OnRequest on_request);
  ~PortPoller() override;

  Port& port() { return *port_; }

  // Submits, and yields the request with its answer.
  auto Call(Request request, PortIndex to) {
    return CallAwaiter(&calls_, std::move(request),
                       [this, to](Request r) { port_->Submit(std::move(r), to); });
  }

  struct Preparer {
    PortPoller* poller;
    uint16_t op;
    Request request;
    std::coroutine_handle<> handle;
    Preparer(PortPoller* poller, uint16_t op) : poller(poller), op(op) {}
    bool await_ready() { return poller->preparing_.empty() && poller->resuming_ == 0 && TryNow(); }
    void await_suspend(std::coroutine_handle<> awaiting) {
      handle = awaiting;
      poller->preparing_.push_back(this);
    }
    Request await_resume() {
      if (handle) --poller->resuming_;
      return std::move(request);
    }
    bool TryNow();
  };
  // A request as soon as a slot is free; first come, first served.
  Preparer Prepare(uint16_t op) { return {this, op}; }

  bool Poll() override;
  bool PrepareSleep() override;
  void Woken() override { port_->Woken(); }
  int doorbell_fd() const override { return port_->doorbell_fd(); }

 private:
  bool AcceptSome();
  bool CollectSome();
  bool PrepareSome();

  Env* env_;
  Port* port_;
  OnRequest on_request_;
  CallTable calls_;
  std::deque<Preparer*> preparing_;
  unsigned resuming_ = 0;  // Those that have their slot and do not run yet: nobody overtakes them.
};

}  // namespace atl
