// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/buffer_watch.h"

#include <gtest/gtest.h>

#include <vector>

#include "xseg/base/test_env.h"
#include "xseg/base/units.h"

namespace atl::nbd {
namespace {

struct Client : BufferHolder {
  State state;
  Buffer held;
  bool cut = false;
  State buffer_state() const override { return state; }
  void CutOff(std::string_view) override {
    cut = true;
    held = {};
    state.held_bytes = 0;
    state.stalled_since_ns = 0;
  }
};

class BufferWatchTest : public ::testing::Test {
 protected:
  BufferWatchTest() {
    for (Client& client : clients) {
      client.state.pool = &pool;
      watch.Add(&client);
    }
  }
  ~BufferWatchTest() override {
    for (Client& client : clients) watch.Remove(&client);
    env.Run(Finish());
  }
  Task<bool> Finish() {
    co_await watch.Close();
    co_return true;
  }
  Task<bool> Hold(Client* client, size_t bytes, bool stalled) {
    client->held = co_await pool.Get(bytes);
    client->state.held_bytes = bytes;
    client->state.stalled_since_ns = stalled ? env.BootNs() : 0;
    co_return true;
  }
  Task<bool> Want(Client* client, size_t bytes) {
    client->state.waits = true;
    const Buffer got = co_await watched.Get(bytes);
    client->state.waits = false;
    co_return true;
  }

  TestEnv env;
  HeapBufferPool pool{8 * kMiB};
  BufferWatch watch{&env, ServerLimits{}};
  WatchedPool watched{&pool, &watch};
  Client clients[4];
};

TEST_F(BufferWatchTest, LetsTheStalledBeWhileThereIsRoom) {
  env.Run(Hold(&clients[0], 4 * kMiB, true));
  env.Run(Want(&clients[1], 4 * kMiB));
  env.Advance(kSecond * 3600);
  EXPECT_FALSE(clients[0].cut);
  // Nothing runs that would wake an idle node.
  EXPECT_FALSE(env.scheduler().next_deadline_ns());
}

TEST_F(BufferWatchTest, CutsTheStalledOneThatHoldsMost) {
  env.Run(Hold(&clients[0], 2 * kMiB, true));
  env.Run(Hold(&clients[1], 4 * kMiB, true));
  env.Run(Hold(&clients[2], 1 * kMiB, true));
  const int64_t begin = env.BootNs();
  env.Run(Want(&clients[3], 4 * kMiB));
  EXPECT_FALSE(clients[0].cut);
  EXPECT_TRUE(clients[1].cut);
  EXPECT_FALSE(clients[2].cut);
  EXPECT_GE(env.BootNs() - begin, ServerLimits{}.buffer_patience_ns);
  EXPECT_LE(env.BootNs() - begin, 2 * ServerLimits{}.buffer_patience_ns);
}

TEST_F(BufferWatchTest, CutsOneAfterTheOtherUntilThereIsRoom) {
  for (int i = 0; i < 3; ++i) env.Run(Hold(&clients[i], 2 * kMiB, true));
  env.Run(Want(&clients[3], 8 * kMiB));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(clients[i].cut);
}

Task<void> MoveOn(TestEnv* env, Client* client, uint64_t bytes, bool* stop) {
  while (!*stop) {
    co_await env->Sleep(kSecond);
    client->state.moved_bytes += bytes;
  }
}
Task<void> LetGo(TestEnv* env, Client* client, int64_t after_ns) {
  co_await env->Sleep(after_ns);
  client->held = {};
  client->state.held_bytes = 0;
}

TEST_F(BufferWatchTest, SparesWhoGetsOnAndWhoseDeviceIsSlow) {
  bool stop = false;
  env.Run(Hold(&clients[0], 4 * kMiB, true));
  Spawn(MoveOn(&env, &clients[0], kMiB, &stop));
  env.Run(Hold(&clients[1], 4 * kMiB, false));
  Spawn(LetGo(&env, &clients[1], 60 * kSecond));
  env.Run(Want(&clients[2], 4 * kMiB));
  EXPECT_FALSE(clients[0].cut);
  EXPECT_FALSE(clients[1].cut);
  stop = true;
  env.RunUntilIdle();
}

TEST_F(BufferWatchTest, ATrickleIsNoProgress) {
  bool stop = false;
  env.Run(Hold(&clients[0], 8 * kMiB, true));
  Spawn(MoveOn(&env, &clients[0], 100, &stop));
  env.Run(Want(&clients[1], kMiB));
  EXPECT_TRUE(clients[0].cut);
  stop = true;
  env.RunUntilIdle();
}

}  // namespace
}  // namespace atl::nbd
