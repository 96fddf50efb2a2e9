// SPDX-License-Identifier: Apache-2.0
//
// Clients that keep to the rules.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <vector>

#include "tests/kernel/local/local_world.h"

namespace atl::local {
namespace {

TEST(LocalServer, ServesEachOperation) {
  LocalWorld world;
  auto client = world.Connect();
  EXPECT_EQ(client->facts().size, 64 * kMiB);
  EXPECT_EQ(client->facts().physical_block, 4096u);
  EXPECT_EQ(client->facts().max_request, kMaxRequest);
  EXPECT_FALSE(client->facts().read_only);
  EXPECT_FALSE(client->facts().uuid.is_zero());

  EXPECT_TRUE(ReadsAs(*client, {0, 8192}, 0));
  ASSERT_TRUE(Write(*client, {4096, 8192}, 7).ok());
  EXPECT_TRUE(ReadsAs(*client, {4096, 8192}, 7));
  EXPECT_TRUE(ReadsAs(*client, {0, 4096}, 0));
  ASSERT_TRUE(Ask(*client, kOpFlush).ok());
  EXPECT_EQ(world.flushes(), 1u);
  ASSERT_TRUE(Ask(*client, kOpDiscard, {4096, 4096}).ok());
  EXPECT_TRUE(ReadsAs(*client, {4096, 4096}, 0));
  ASSERT_TRUE(Ask(*client, kOpWriteZeroes, {8192, 512}, kFlagNoHole).ok());
  EXPECT_TRUE(ReadsAs(*client, {8192, 512}, 0));
  EXPECT_TRUE(ReadsAs(*client, {8704, 512}, 7));
  EXPECT_EQ(Ask(*client, kOpWriteZeroes, {8192, 512}, kFlagFastOnly).code(), Code::kUnsupported);
}

TEST(LocalServer, ServesUnalignedAndVeryLongRequests) {
  LocalWorld world;
  auto client = world.Connect();
  ASSERT_TRUE(Write(*client, {4095, 3}, 9).ok());
  EXPECT_TRUE(ReadsAs(*client, {4095, 3}, 9));
  ASSERT_TRUE(Write(*client, {kMiB, kMaxRequest}, 3, kFlagFua).ok());
  EXPECT_TRUE(ReadsAs(*client, {kMiB + 1, kMaxRequest - 1}, 3));
}

TEST(LocalServer, TwoClientsSeeEachOther) {
  LocalWorld world;
  auto one = world.Connect();
  auto other = world.Connect("disk", Mode::kReadOnly);
  EXPECT_TRUE(other->facts().read_only);
  ASSERT_TRUE(Write(*one, {0, 4096}, 5).ok());
  EXPECT_TRUE(ReadsAs(*other, {0, 4096}, 5));
  EXPECT_EQ(Write(*other, {0, 4096}, 6).code(), Code::kReadOnly);
  EXPECT_EQ(world.open_devices(), 2u);
}

TEST(LocalServer, RefusesWithAReason) {
  LocalWorld world;
  const auto missing = world.TryConnect("nothing");
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_EQ(missing.status().message(), "no resource is called 'nothing'");
  EXPECT_EQ(world.TryConnect("no name").code(), Code::kInvalid);
  EXPECT_EQ(world.TryConnect("").code(), Code::kInvalid);
  EXPECT_EQ(world.TryConnect(std::string(201, 'x')).code(), Code::kInvalid);
  const auto snapshot = world.TryConnect("snap");
  EXPECT_EQ(snapshot.code(), Code::kReadOnly);
  EXPECT_EQ(snapshot.status().message(), "snapshot snap can be opened for reading only");
  EXPECT_TRUE(ReadsAs(*world.Connect("snap", Mode::kReadOnly), {0, 512}, 0));
  EXPECT_EQ(LocalClient::Connect(world.socket() + "x", {"disk"}).code(), Code::kNotFound);
  EXPECT_TRUE(world.IsQuiet());
}

TEST(LocalServer, TheSocketIsForOwnerAndGroup) {
  LocalWorld world;
  struct stat info{};
  ASSERT_EQ(stat(world.socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  world.Stop();
  EXPECT_NE(stat(world.socket().c_str(), &info), 0);
}

TEST(LocalServer, AnErrorHasItsTextAndEndsNothing) {
  LocalWorld world;
  auto client = world.Connect();
  EXPECT_EQ(Ask(*client, kOpDiscard, {64 * kMiB - 512, 1024}).message(),
            "1024 bytes at 67108352 are not inside of its 67108864");
  EXPECT_EQ(Read(*client, {64 * kMiB, 512}).code(), Code::kInvalid);
  EXPECT_EQ(Ask(*client, kOpFlush, {}, kFlagFua).code(), Code::kInvalid);
  world.Fail({Code::kNoSpace, std::string(300, 'n')});
  const Status full = Write(*client, {0, 4096}, 1);
  EXPECT_EQ(full.code(), Code::kNoSpace);
  EXPECT_EQ(full.message(), std::string(kInlineArgumentBytes, 'n'));
  world.Fail({});
  EXPECT_TRUE(Write(*client, {0, 4096}, 1).ok());
}

TEST(LocalServer, ManyRequestsAreInServiceAtOnce) {
  LocalWorld world;
  auto client = world.Connect();
  world.Delay(50 * kMillisecond);
  const unsigned count = client->port().slots();
  for (unsigned i = 0; i < count; ++i) {
    auto request = client->Prepare(kOpWrite, {i * 4096ull, 4096});
    auto buffer = client->port().buffers().Allocate(4096);
    ASSERT_TRUE(request && buffer);
    FillWith(buffer->bytes(), static_cast<int>(i + 1));
    request->Carry(std::move(*buffer));
    client->port().Submit(std::move(*request));
  }
  EXPECT_FALSE(client->Prepare(kOpFlush, {}).has_value());
  AdaptiveSpin spin(0);
  for (unsigned answers = 0; answers < count;) {
    if (auto answer = client->port().Collect()) {
      ++answers;
      EXPECT_EQ(answer->code(), Code::kOk);
    } else {
      ASSERT_TRUE(client->port().Wait(spin, 10 * kSecond));
    }
  }
  world.Delay(0);
  for (unsigned i = 0; i < count; ++i) {
    EXPECT_TRUE(ReadsAs(*client, {i * 4096ull, 4096}, static_cast<int>(i + 1)));
  }
}

TEST(LocalServer, CountsByResource) {
  LocalWorld world;
  auto client = world.Connect();
  ASSERT_TRUE(Write(*client, {0, 4096}, 1).ok());
  ASSERT_TRUE(Read(*client, {0, 8192}).ok());
  ASSERT_TRUE(Ask(*client, kOpFlush).ok());
  EXPECT_FALSE(Read(*client, {64 * kMiB, 512}).ok());
  const PortStats row = world.Row("disk");
  EXPECT_EQ(row.port, "local");
  EXPECT_EQ(row.writes, 1u);
  EXPECT_EQ(row.write_bytes, 4096u);
  EXPECT_EQ(row.reads, 2u);
  EXPECT_EQ(row.read_bytes, 8192u);
  EXPECT_EQ(row.others, 1u);
  EXPECT_EQ(row.errors, 1u);
  EXPECT_EQ(row.in_flight, 0u);
  EXPECT_GT(row.max_ns, 0u);
}

TEST(LocalServer, AStopAnswersWhatHasBegunAndHangsUp) {
  LocalWorld world;
  auto client = world.Connect();
  world.Delay(300 * kMillisecond);
  auto request = client->Prepare(kOpFlush, {});
  client->port().Submit(std::move(*request));
  while (world.Row("disk").in_flight == 0) {
  }
  world.Stop();
  const auto answer = client->port().Collect();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code(), Code::kOk);
  EXPECT_TRUE(client->port().server_gone());
  EXPECT_EQ(Ask(*client, kOpFlush).code(), Code::kUnavailable);
  EXPECT_FALSE(world.TryConnect("disk").ok());
  EXPECT_EQ(world.open_devices(), 0u);
}

TEST(LocalServer, TellsWhoIsTooManyAndLetsThemInAgain) {
  LocalWorld world({.max_clients = 2});
  auto one = world.Connect();
  auto two = world.Connect();
  const auto third = world.TryConnect("disk");
  EXPECT_EQ(third.code(), Code::kLimit);
  EXPECT_EQ(third.status().message(), "2 local clients are connected, which is the most");
  two.reset();
  EXPECT_TRUE(world.HasClients(1));
  EXPECT_TRUE(ReadsAs(*world.Connect(), {0, 512}, 0));
}

TEST(LocalServer, AnIdleClientIsStillServed) {
  LocalWorld world;
  auto client = world.Connect();
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_TRUE(ReadsAs(*client, {0, 4096}, 0));
  }
}

}  // namespace
}  // namespace atl::local
