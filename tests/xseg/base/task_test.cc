// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/task.h"

#include <gtest/gtest.h>

#include "xseg/base/executor.h"
#include "xseg/base/sync.h"
#include "xseg/base/test_env.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

Task<int> Immediate(int value) { co_return value; }
Task<int> Sum(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await Immediate(1);
  co_return sum;
}

TEST(Task, AMillionChildrenThatEndAtOnceKeepTheStackFlat) {
  TestEnv env;
  EXPECT_EQ(env.Run(Sum(1'000'000)), 1'000'000);
}

Task<int> Suspending(TestEnv* env, int64_t wait_ns, int value) {
  co_await env->Sleep(wait_ns);
  co_return value;
}

TEST(Task, AwaitsAChildThatSuspends) {
  TestEnv env;
  EXPECT_EQ(env.Run(Suspending(&env, kSecond, 7)), 7);
}

TEST(Task, AnUnstartedTaskIsDestroyedQuietly) { auto task = Immediate(1); }

TEST(TaskGroup, JoinWaitsForAll) {
  TestEnv env;
  int done = 0;
  auto work = [](TestEnv* env, int64_t ns, int* done) -> Task<void> {
    co_await env->Sleep(ns);
    ++*done;
  };
  auto run = [&]() -> Task<int> {
    TaskGroup group;
    for (int i = 0; i < 10; ++i) group.Run(work(&env, i * kMillisecond, &done));
    co_await group.Join();
    co_return done;
  };
  EXPECT_EQ(env.Run(run()), 10);
}

TEST(Gate, CloseWaitsForThoseInFlightAndStopsNewcomers) {
  TestEnv env;
  Gate gate;
  std::vector<int> order;
  auto visitor = [&](int64_t arrive_ns, int64_t stay_ns, int id) -> Task<void> {
    co_await env.Sleep(arrive_ns);
    auto pass = co_await gate.Enter();
    order.push_back(id);
    co_await env.Sleep(stay_ns);
    order.push_back(-id);
  };
  auto closer = [&]() -> Task<void> {
    co_await env.Sleep(10);
    co_await gate.Close();
    order.push_back(100);
    co_await env.Sleep(100);
    gate.Open();
  };
  Spawn(visitor(1, 50, 1));
  Spawn(visitor(20, 5, 2));
  Spawn(closer());
  env.RunUntilIdle();
  EXPECT_EQ(order, (std::vector<int>{1, -1, 100, 2, -2}));
}

TEST(Mutex, IsFairAndExclusive) {
  TestEnv env;
  Mutex mutex;
  std::vector<int> order;
  auto work = [&](int id) -> Task<void> {
    auto lock = co_await mutex.Lock();
    order.push_back(id);
    co_await env.Sleep(10);
    order.push_back(id);
  };
  for (int i = 0; i < 3; ++i) Spawn(work(i));
  env.RunUntilIdle();
  EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2, 2}));
  EXPECT_FALSE(mutex.is_locked());
}

TEST(Semaphore, ALargeRequestIsNotOvertaken) {
  TestEnv env;
  Semaphore semaphore(2);
  std::vector<int> order;
  auto work = [&](int id, uint64_t units) -> Task<void> {
    co_await semaphore.Acquire(units);
    order.push_back(id);
    co_await env.Sleep(10);
    semaphore.Release(units);
  };
  Spawn(work(1, 1));
  Spawn(work(2, 2));
  Spawn(work(3, 1));
  env.RunUntilIdle();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Executor, SleepsOffloadsAndReadsThroughTheRing) {
  Executor executor;
  auto run = [&]() -> Task<int> {
    const int64_t before = executor.BootNs();
    co_await executor.Sleep(5 * kMillisecond);
    EXPECT_GE(executor.BootNs() - before, 5 * kMillisecond);
    const int offloaded = co_await executor.Offload([] { return 41; });
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    EXPECT_EQ(co_await executor.ring().Write(fds[1], AsBytes("x"), 0), 1);
    std::byte byte;
    EXPECT_EQ(co_await executor.ring().Read(fds[0], {&byte, 1}, 0), 1);
    close(fds[0]);
    close(fds[1]);
    co_return offloaded + (byte == std::byte{'x'} ? 1 : 0);
  };
  EXPECT_EQ(executor.RunUntilDone(run()), 42);
}

TEST(Executor, WorkThatOnlyYieldsDoesNotStarveTheRing) {
  Executor executor;
  auto run = [&]() -> Task<int> {
    bool stop = false;
    TaskGroup group;
    group.Run([](const bool* stop) -> Task<void> {
      while (!*stop) co_await Yield{};
    }(&stop));
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    std::byte byte;
    EXPECT_EQ(co_await executor.ring().Write(fds[1], AsBytes("x"), 0), 1);
    EXPECT_EQ(co_await executor.ring().Read(fds[0], {&byte, 1}, 0), 1);
    stop = true;
    co_await group.Join();
    close(fds[0]);
    close(fds[1]);
    co_return 1;
  };
  EXPECT_EQ(executor.RunUntilDone(run()), 1);
}

TEST(Executor, AnotherThreadStopsIt) {
  Executor executor;
  std::thread stopper([&] { executor.Stop(); });
  executor.Run();
  stopper.join();
}

}  // namespace
}  // namespace atl
