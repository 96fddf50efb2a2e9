// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/buffer_watch.h"

#include <set>

namespace atl::nbd {

void BufferWatch::BeginWait() {
  ++waiting_;
  if (running_) return;
  running_ = true;
  Spawn(Watch());
}

void BufferWatch::EndWait() {
  CHECK(waiting_ > 0);
  if (--waiting_ == 0) alarm_.Cancel();
}

Task<void> BufferWatch::Watch() {
  while (waiting_ > 0) {
    Mark();
    const bool over = co_await alarm_.Until(env_->BootNs() + limits_.buffer_patience_ns);
    if (over && waiting_ > 0) CutWorst();
  }
  running_ = false;
  ended_.Wake();
}

void BufferWatch::Mark() {
  for (auto& [holder, moved] : holders_) moved = holder->buffer_state().moved_bytes;
}

void BufferWatch::CutWorst() {
  std::set<const BufferPool*> short_of;
  for (const auto& [holder, moved] : holders_) {
    const auto state = holder->buffer_state();
    if (state.waits) short_of.insert(state.pool);
  }
  const int64_t begin_ns = env_->BootNs() - limits_.buffer_patience_ns;
  BufferHolder* worst = nullptr;
  uint64_t most = 0;
  for (const auto& [holder, moved] : holders_) {
    const auto state = holder->buffer_state();
    const bool stalled = state.stalled_since_ns != 0 && state.stalled_since_ns <= begin_ns &&
                         state.moved_bytes - moved < limits_.min_progress_bytes;
    if (!stalled || state.held_bytes <= most || !short_of.contains(state.pool)) continue;
    worst = holder;
    most = state.held_bytes;
  }
  if (worst != nullptr) worst->CutOff("it keeps payload buffers that others wait for");
}

Task<void> BufferWatch::Close() {
  CHECK(holders_.empty() && waiting_ == 0);
  alarm_.Cancel();
  while (running_) co_await ended_;
}

Task<Buffer> WatchedPool::Get(size_t bytes) {
  // Awaits the inner task, and knows whether that meant to wait.
  struct Awaiter {
    Task<Buffer> task;
    WatchedPool* pool;
    bool waited = false;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      waited = task.await_suspend(handle);
      if (waited && pool->waiting_++ == 0) pool->watch_->BeginWait();
      return waited;
    }
    Buffer await_resume() {
      if (waited && --pool->waiting_ == 0) pool->watch_->EndWait();
      return task.await_resume();
    }
  };
  Awaiter awaiter{pool_->Get(bytes), this};
  co_return co_await awaiter;
}

}  // namespace atl::nbd
