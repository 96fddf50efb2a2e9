// SPDX-License-Identifier: Apache-2.0
//
// How an executor waits for files.
#include "xseg/base/executor.h"

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "xseg/base/fd.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

using std::chrono::microseconds;

int64_t ThreadCpuNs() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * kSecond + used.tv_nsec;
}

// A file that is slow: each byte comes `after` the one before.
class SlowFile {
 public:
  SlowFile(int bytes, microseconds after) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    from_ = Fd(ends[0]);
    to_ = Fd(ends[1]);
    writer_ = std::thread([this, bytes, after] {
      for (int i = 0; i < bytes; ++i) {
        std::this_thread::sleep_for(after);
        CHECK(write(to_.get(), &i, 1) == 1);
      }
    });
  }
  ~SlowFile() { writer_.join(); }
  int fd() const { return from_.get(); }

 private:
  Fd from_, to_;
  std::thread writer_;
};

Task<int> ReadAll(Executor* executor, int fd, int bytes) {
  int sum = 0;
  for (int i = 0; i < bytes; ++i) {
    std::byte byte{};
    const int got = co_await executor->ring().Read(fd, {&byte, 1}, 0);
    EXPECT_EQ(got, 1);
    EXPECT_EQ(executor->ring().files_in_flight(), 0u);
    sum += std::to_integer<int>(byte);
  }
  co_return sum;
}

TEST(ExecutorThatAwaitsFiles, ReadsWhatComesSoonAndWhatComesLate) {
  constexpr int kBytes = 50;
  for (const microseconds after : {microseconds(1), microseconds(200), microseconds(3000)}) {
    Executor executor;
    SlowFile file(kBytes, after);
    EXPECT_EQ(executor.RunUntilDone(ReadAll(&executor, file.fd(), kBytes)),
              kBytes * (kBytes - 1) / 2);
  }
}

TEST(ExecutorThatAwaitsFiles, SleepsWhereThatTakesLong) {
  Executor executor;
  SlowFile file(20, microseconds(20'000));
  const int64_t before_ns = ThreadCpuNs();
  EXPECT_EQ(executor.RunUntilDone(ReadAll(&executor, file.fd(), 20)), 190);
  EXPECT_LT(ThreadCpuNs() - before_ns, 100 * kMillisecond) << "of 400 ms";
}

// What else is going on does not make it believe that the disk is fast.
TEST(ExecutorThatAwaitsFiles, SleepsWhereManyTakeLongBesideOtherWork) {
  constexpr int kFiles = 10, kBytes = 10;
  Executor executor;
  std::vector<std::unique_ptr<SlowFile>> files;
  for (int i = 0; i < kFiles; ++i) {
    files.push_back(std::make_unique<SlowFile>(kBytes, microseconds(30'000)));
  }
  int left = kFiles;
  const auto read = [&](int fd) -> Task<void> {
    for (int i = 0; i < kBytes; ++i) {
      std::byte byte{};
      EXPECT_EQ(co_await executor.ring().Read(fd, {&byte, 1}, 0), 1);
    }
    --left;
  };
  const auto tick = [&]() -> Task<void> {
    TaskGroup group;
    for (const auto& file : files) group.Run(read(file->fd()));
    while (left > 0) co_await executor.Sleep(500 * kMicrosecond);
    co_await group.Join();
  };
  const int64_t before_ns = ThreadCpuNs(), began_ns = executor.BootNs();
  executor.RunUntilDone(tick());
  EXPECT_LT(ThreadCpuNs() - before_ns, (executor.BootNs() - began_ns) / 2);
}

}  // namespace
}  // namespace atl
