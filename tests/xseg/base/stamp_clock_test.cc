// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/stamp_clock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace atl {
namespace {

constexpr int64_t kOffNs = 1000;  // As much as it may be.

int64_t BootNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Between two looks at the kernel's clock, also where the thread is stopped in between.
bool Agrees() {
  const int64_t before = BootNs();
  const int64_t stamp = StampNowNs();
  const int64_t after = BootNs();
  EXPECT_GE(stamp, before - kOffNs);
  EXPECT_LE(stamp, after + kOffNs);
  return !testing::Test::HasFailure();
}

void AgreesFor(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end && Agrees()) {
  }
}

TEST(StampClock, AgreesWithTheKernel) {
  AgreesFor(std::chrono::milliseconds(200));
  // What it knows is old by then.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  AgreesFor(std::chrono::milliseconds(200));
}

TEST(StampClock, IsEachThreadsOwn) {
  std::thread other([] { AgreesFor(std::chrono::milliseconds(100)); });
  AgreesFor(std::chrono::milliseconds(100));
  other.join();
}

TEST(StampClock, GoesOnInAChild) {
  AgreesFor(std::chrono::milliseconds(30));
  const pid_t child = fork();
  if (child == 0) {
    AgreesFor(std::chrono::milliseconds(30));
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace atl
