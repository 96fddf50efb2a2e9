// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/offload.h"

#include <utility>

namespace atl {

OffloadPool::OffloadPool(int threads, std::function<void()> wake)
    : thread_count_(threads), wake_(std::move(wake)) {}

OffloadPool::~OffloadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  available_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void OffloadPool::Submit(const std::function<void()>* work, std::coroutine_handle<> handle) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({work, handle});
  }
  while (threads_.size() < static_cast<size_t>(thread_count_)) {
    threads_.emplace_back([this] { Loop(); });
  }
  available_.notify_one();
}

std::vector<std::coroutine_handle<>> OffloadPool::TakeDone() {
  const std::lock_guard lock(mutex_);
  has_done_.store(false, std::memory_order_relaxed);
  return std::exchange(done_, {});
}

void OffloadPool::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    available_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Item item = queue_.front();
    queue_.pop_front();
    lock.unlock();
    (*item.work)();
    lock.lock();
    done_.push_back(item.handle);
    has_done_.store(true, std::memory_order_release);
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace atl
