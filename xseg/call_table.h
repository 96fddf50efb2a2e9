// SPDX-License-Identifier: Apache-2.0
//
// Which coroutine waits for the answer of which slot: what turns submit and collect into
// `co_await`. Used by PortPoller and ClientPoller.
//
// Threads: the executor's.
#pragma once

#include <coroutine>
#include <utility>
#include <vector>

#include "xseg/base/scheduler.h"
#include "xseg/request.h"

namespace atl {

class CallTable {
 public:
  struct Waiter {
    std::coroutine_handle<> handle;
    Request answer;
  };

  explicit CallTable(unsigned slots) : waiters_(slots) {}

  void Add(unsigned number, Waiter* waiter) { waiters_[number] = waiter; }
  void Remove(unsigned number) { waiters_[number] = nullptr; }
  // False, and `answer` stays valid, if nobody waits for it.
  bool Deliver(Request& answer) {
    Waiter* waiter = std::exchange(waiters_[answer.number()], nullptr);
    if (waiter == nullptr) return false;
    waiter->answer = std::move(answer);
    Scheduler::Current().Post(waiter->handle);
    return true;
  }

 private:
  std::vector<Waiter*> waiters_;
};

// Yields the answered request. If the awaiting coroutine is destroyed meanwhile, the answer is
// dropped when it comes.
template <typename Submit>
class [[nodiscard]] CallAwaiter final : private CallTable::Waiter {
 public:
  CallAwaiter(CallTable* table, Request request, Submit submit)
      : table_(table), request_(std::move(request)), submit_(submit), number_(request_.number()) {}
  CallAwaiter(const CallAwaiter&) = delete;
  CallAwaiter& operator=(const CallAwaiter&) = delete;
  ~CallAwaiter() {
    if (waiting_) table_->Remove(number_);
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) {
    handle = awaiting;
    waiting_ = true;
    table_->Add(number_, this);
    submit_(std::move(request_));
  }
  Request await_resume() {
    waiting_ = false;
    return std::move(answer);
  }

 private:
  CallTable* table_;
  Request request_;
  Submit submit_;
  unsigned number_;
  bool waiting_ = false;
};

}  // namespace atl
