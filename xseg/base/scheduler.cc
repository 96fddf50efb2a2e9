// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/scheduler.h"

#include "xseg/base/check.h"

namespace atl {

thread_local Scheduler* Scheduler::current_ = nullptr;

Scheduler& Scheduler::Current() {
  CHECK(current_ != nullptr) << "a coroutine runs outside of a scheduler";
  return *current_;
}

size_t Scheduler::RunReady() {
  CHECK(running_.empty()) << "RunReady is not reentrant";
  running_.swap(ready_);
  const size_t count = running_.size();
  for (size_t i = 0; i < count; ++i) running_[i].resume();
  running_.clear();
  return count;
}

bool Scheduler::RunOne(uint64_t index) {
  if (ready_.empty()) return false;
  const size_t at = index % ready_.size();
  const std::coroutine_handle<> handle = ready_[at];
  ready_.erase(ready_.begin() + static_cast<ptrdiff_t>(at));
  handle.resume();
  return true;
}

Scheduler::TimerKey Scheduler::AddTimer(int64_t deadline_ns, std::coroutine_handle<> handle) {
  const TimerKey key{deadline_ns, next_timer_++};
  timers_.emplace(key, handle);
  return key;
}

void Scheduler::FireTimers(int64_t now_ns) {
  while (!timers_.empty() && timers_.begin()->first.first <= now_ns) {
    Post(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
}

std::optional<int64_t> Scheduler::next_deadline_ns() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

}  // namespace atl
