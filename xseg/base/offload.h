// SPDX-License-Identifier: Apache-2.0
//
// A few threads for blocking calls, owned by one executor. Work is taken in order; its completion
// is fetched by the executor's thread, woken through an eventfd.
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace atl {

class OffloadPool {
 public:
  // `wake` is called from a helper thread whenever a completion waits to be taken.
  OffloadPool(int threads, std::function<void()> wake);
  // Finishes what was submitted, then joins.
  ~OffloadPool();

  // `*work` and what it touches stay alive until `handle` has been taken.
  void Submit(const std::function<void()>* work, std::coroutine_handle<> handle);
  // Cheap, for every turn of a loop.
  bool has_done() const { return has_done_.load(std::memory_order_acquire); }
  std::vector<std::coroutine_handle<>> TakeDone();

 private:
  struct Item {
    const std::function<void()>* work;
    std::coroutine_handle<> handle;
  };
  void Loop();

  const int thread_count_;
  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable available_;
  std::deque<Item> queue_;
  std::vector<std::coroutine_handle<>> done_;
  std::atomic<bool> has_done_{false};
  bool stop_ = false;
  std::vector<std::thread> threads_;  // Started by the first Submit.
};

}  // namespace atl
