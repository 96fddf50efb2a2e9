// SPDX-License-Identifier: Apache-2.0
//
// A real NbdServer over memory on an executor of its own, in a thread, with a socket in a temporary
// directory. The test's thread is free for clients, which may block.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "kernel/nbd/server.h"
#include "tests/kernel/nbd/memory_device.h"
#include "xseg/base/executor.h"
#include "xseg/base/fd.h"

namespace atl::nbd {

// What lives on the server's thread.
struct ServerWorld {
  Executor* executor;
  MemoryAtoll* atoll;
  NbdServer* server;
};

class ServerThread {
 public:
  explicit ServerThread(ServerOptions options = {}, size_t buffer_bytes = 256 * kMiB)
      : bell_(eventfd(0, EFD_CLOEXEC)) {
    char path[] = "/tmp/atoll-nbd-XXXXXX";
    CHECK(mkdtemp(path) != nullptr);
    directory_ = path;
    options.unix_path = socket();
    std::promise<Status> started;
    auto result = started.get_future();
    thread_ = std::thread(
        [this, options, buffer_bytes, &started] { Main(options, buffer_bytes, &started); });
    const Status status = result.get();
    CHECK(status.ok()) << status.ToString();
  }
  ~ServerThread() {
    Stop(StopMode::kNow);
    RunTask([this](ServerWorld) { return End(); });
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  std::string directory() const { return directory_; }
  std::string socket() const { return directory_ + "/nbd.sock"; }
  std::string uri(const std::string& name) const {
    return "nbd+unix:///" + name + "?socket=" + socket();
  }

  // Runs `work` on the server's thread and waits for it.
  void RunTask(std::function<Task<void>(ServerWorld)> work) {
    std::promise<void> done;
    auto finished = done.get_future();
    {
      const std::lock_guard lock(mutex_);
      work_.push_back({std::move(work), &done});
    }
    const uint64_t one = 1;
    CHECK(write(bell_.get(), &one, sizeof(one)) == sizeof(one));
    finished.get();
  }
  template <typename F>
  auto Run(F f) {
    std::invoke_result_t<F, ServerWorld> out{};
    RunTask([&](ServerWorld world) { return Call(&f, &out, world); });
    return out;
  }
  void Stop(StopMode mode) {
    RunTask([mode](ServerWorld world) { return world.server->Stop(mode); });
  }
  // Waits until `condition` holds on the server's thread.
  template <typename F>
  bool Eventually(F condition) {
    for (int i = 0; i < 2000; ++i) {
      if (Run(condition)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

 private:
  struct Work {
    std::function<Task<void>(ServerWorld)> run;
    std::promise<void>* done;
  };
  template <typename F, typename T>
  static Task<void> Call(F* f, T* out, ServerWorld world) {
    *out = (*f)(world);
    co_return;
  }

  void Main(const ServerOptions& options, size_t buffer_bytes, std::promise<Status>* started) {
    Executor executor;
    MemoryAtoll atoll(&executor, buffer_bytes);
    NbdServer server(&executor, &atoll, options);
    started->set_value(executor.RunUntilDone(server.Start()));
    executor.RunUntilDone(Loop({&executor, &atoll, &server}));
  }
  Task<void> Loop(ServerWorld world) {
    while (!ended_) {
      co_await world.executor->ring().Poll(bell_.get(), POLLIN);
      uint64_t count;
      CHECK(read(bell_.get(), &count, sizeof(count)) == sizeof(count));
      for (;;) {
        Work work;
        {
          const std::lock_guard lock(mutex_);
          if (work_.empty()) break;
          work = std::move(work_.front());
          work_.pop_front();
        }
        co_await work.run(world);
        work.done->set_value();
      }
    }
  }
  Task<void> End() {
    ended_ = true;
    co_return;
  }

  std::string directory_;
  Fd bell_;
  std::mutex mutex_;
  std::deque<Work> work_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace atl::nbd
