// SPDX-License-Identifier: Apache-2.0
//
// The server over real sockets: bad clients beside good ones, limits, stopping.
#include "kernel/nbd/server.h"

#include <gtest/gtest.h>
#include <libnbd.h>

#include <chrono>
#include <random>

#include "tests/kernel/nbd/raw_client.h"
#include "tests/kernel/nbd/server_clients.h"
#include "tests/kernel/nbd/server_thread.h"

namespace atl::nbd {
namespace {

using Clock = std::chrono::steady_clock;

// An honest client that writes and reads all the time and checks what it reads.
class Honest {
 public:
  explicit Honest(ServerThread* server) : handle_(server->uri("good")) {
    CHECK(handle_.ok()) << handle_.error();
  }
  // The longest of `rounds` of one write and one read, in ms.
  int64_t Work(int rounds) {
    int64_t worst = 0;
    for (int i = 0; i < rounds; ++i) {
      const auto begin = Clock::now();
      std::string data(1 + random_() % 9000, static_cast<char>('a' + i % 26));
      std::string back(data.size(), 0);
      const uint64_t offset = random_() % (kMiB - data.size());
      EXPECT_EQ(nbd_pwrite(handle_.get(), data.data(), data.size(), offset, 0), 0)
          << nbd_get_error();
      EXPECT_EQ(nbd_pread(handle_.get(), back.data(), back.size(), offset, 0), 0)
          << nbd_get_error();
      EXPECT_EQ(back, data);
      const auto took = Clock::now() - begin;
      worst = std::max<int64_t>(
          worst, std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
    }
    return worst;
  }

 private:
  Handle handle_;
  std::mt19937_64 random_{1};
};

size_t Connections(ServerThread* server) {
  return server->Run([](ServerWorld world) { return world.server->connections(); });
}
bool AllGone(ServerThread* server, size_t left = 0) {
  return server->Eventually([=](ServerWorld world) { return world.server->connections() == left; });
}

TEST(Server, GarbageCostsNobodyElseAnything) {
  ServerThread server;
  AddGood(&server);
  Honest honest(&server);
  std::mt19937_64 random(5);
  for (int i = 0; i < 50; ++i) {
    RawClient bad(server.socket());
    if (i % 2 == 0) ASSERT_TRUE(bad.Open("disk"));
    Bytes noise(1 + random() % 5000);
    for (auto& byte : noise) byte = static_cast<std::byte>(random());
    bad.Say(noise);
    EXPECT_TRUE(bad.IsClosed());
    EXPECT_LT(honest.Work(2), 1000);
  }
  EXPECT_TRUE(AllGone(&server, 1));
}

TEST(Server, ClientsThatVanishLeaveNothingBehind) {
  ServerThread server;
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [](std::string_view what) {
      return what == "read" ? 3 * kMillisecond : 0;
    };
    return 0;
  });
  Honest honest(&server);
  const Script half = Script().Request({.type = 1, .length = 8 * kMiB}).Fill(kMiB, 1);
  Script reads;
  for (unsigned i = 0; i < 100; ++i) reads.Request({.type = 0, .cookie = i, .length = 65536});
  for (int i = 0; i < 40; ++i) {
    RawClient bad(server.socket());
    ASSERT_TRUE(bad.Open("disk"));
    // In the middle of a request, of a payload, of many replies.
    bad.Push(i % 3 == 0 ? ConstSpan(half).first(20) : i % 3 == 1 ? ConstSpan(half) : reads);
    if (i % 2 == 0) shutdown(bad.fd(), SHUT_WR);
    bad.Close();
    honest.Work(1);
  }
  EXPECT_TRUE(AllGone(&server, 1));
  EXPECT_TRUE(server.Eventually([](ServerWorld world) {
    for (const auto& row : world.server->Stats()) {
      if (row.in_flight != 0) return false;
    }
    return true;
  }));
  EXPECT_LT(honest.Work(20), 1000);
}

TEST(Server, TricklingClientsHoldNoBufferAndNobodyUp) {
  ServerThread server({}, 64 * kMiB);
  AddGood(&server);
  Honest honest(&server);
  std::vector<std::unique_ptr<RawClient>> bad;
  for (int i = 0; i < 20; ++i) {
    bad.push_back(std::make_unique<RawClient>(server.socket()));
    ASSERT_TRUE(bad.back()->Open("disk"));
    // 20 times 32 MiB are asked for; the pool has 64 MiB.
    ASSERT_TRUE(bad.back()->Say(Script().Request({.type = 1, .length = 32 * kMiB}).Fill(1000, 1)));
  }
  for (int round = 0; round < 50; ++round) {
    for (auto& client : bad) ASSERT_TRUE(client->Say(Script().U8(1)));
    EXPECT_LT(honest.Work(1), 1000);
  }
}

TEST(Server, ClientsThatKeepBuffersAreCutOffWhenOthersNeedThem) {
  ServerOptions options;
  options.limits.buffer_patience_ns = 200 * kMillisecond;
  ServerThread server(options, 64 * kMiB);
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->Add("data", 64 * kMiB)->Write(0, Bytes(64 * kMiB, std::byte{1}));
    return 0;
  });
  Honest honest(&server);
  // One sends a part that is large enough for a buffer and stops; one never reads its replies.
  RawClient writer(server.socket());
  ASSERT_TRUE(writer.Open("disk"));
  ASSERT_TRUE(
      writer.Say(Script().Request({.type = 1, .length = 32 * kMiB}).Fill(2 * kSmallPayload, 1)));
  EXPECT_LT(honest.Work(1), 1000) << "there is room for both";
  RawClient reader(server.socket());
  ASSERT_TRUE(reader.Open("data"));
  ASSERT_TRUE(reader.Say(Script().Request({.type = 0, .length = 32 * kMiB})));
  EXPECT_LT(honest.Work(20), 5000);
  EXPECT_TRUE(AllGone(&server, 2)) << "one of them was enough";
}

TEST(Server, CutsOffWhoDoesNotFinishTheHandshakeInTime) {
  ServerOptions options;
  options.limits.connection.handshake_timeout_ns = 200 * kMillisecond;
  ServerThread server(options);
  AddGood(&server);
  Honest honest(&server);
  RawClient silent(server.socket()), trickling(server.socket());
  const Script options_without_end = Script().ClientFlags(3).Option(8).Option(8).Option(8);
  const auto begin = Clock::now();
  for (std::byte byte : options_without_end.bytes()) {
    if (!trickling.Say({&byte, 1})) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(trickling.IsClosed());
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
  // Afterwards there is no limit.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  honest.Work(3);
}

TEST(Server, TheTimeThatTheNodeTakesToOpenIsNotTheClients) {
  ServerOptions options;
  options.limits.connection.handshake_timeout_ns = 100 * kMillisecond;
  ServerThread server(options);
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [](std::string_view what) {
      return what == "open" ? 400 * kMillisecond : 0;
    };
    return 0;
  });
  Honest honest(&server);
  honest.Work(1);
}

TEST(Server, RefusesClientsBeyondItsLimit) {
  ServerOptions options;
  options.limits.max_connections = 3;
  ServerThread server(options);
  AddGood(&server);
  std::vector<std::unique_ptr<Handle>> handles;
  for (int i = 0; i < 3; ++i) {
    handles.push_back(std::make_unique<Handle>(server.uri("good")));
    EXPECT_TRUE(handles.back()->ok());
  }
  RawClient more(server.socket());
  EXPECT_TRUE(more.IsClosed());
  handles.pop_back();
  EXPECT_TRUE(AllGone(&server, 2));
  EXPECT_TRUE(Handle(server.uri("good")).ok());
  EXPECT_EQ(server.Run([](ServerWorld world) { return world.server->refused_connections(); }), 1u);
}

TEST(Server, ClientsThatOnlyConnectKeepNobodyOut) {
  ServerOptions options;
  options.limits.max_connections = 3;
  ServerThread server(options);
  AddGood(&server);
  std::vector<std::unique_ptr<RawClient>> silent;
  std::vector<std::unique_ptr<Handle>> handles;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(std::make_unique<RawClient>(server.socket()));
    ASSERT_EQ(silent.back()->Hear(18).size(), 18u);
  }
  for (int i = 0; i < 3; ++i) {
    handles.push_back(std::make_unique<Handle>(server.uri("good")));
    EXPECT_TRUE(handles.back()->ok()) << handles.back()->error();
  }
  for (auto& client : silent) EXPECT_TRUE(client->IsClosed());
  EXPECT_EQ(server.Run([](ServerWorld world) { return world.server->refused_connections(); }), 0u);
}

TEST(Server, InFlightRequestsAreLimitedByNotReading) {
  ServerOptions options;
  options.limits.connection.max_in_flight = 8;
  ServerThread server(options);
  AddGood(&server);
  auto most = std::make_shared<uint64_t>(0);
  server.Run([=](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [=](std::string_view what) -> int64_t {
      if (what != "flush") return 0;
      for (const auto& row : world.server->Stats()) *most = std::max(*most, row.in_flight);
      return kMillisecond;
    };
    return 0;
  });
  RawClient client(server.socket());
  ASSERT_TRUE(client.Open("good"));
  Script script;
  for (unsigned i = 0; i < 200; ++i) script.Request({.type = 3, .cookie = i});
  ASSERT_TRUE(client.Say(script));
  EXPECT_EQ(client.Hear(200 * 16).size(), 200u * 16);
  EXPECT_EQ(server.Run([=](ServerWorld) { return *most; }), 8u);
}

TEST(Server, InFlightBytesAreLimitedByNotReading) {
  ServerOptions options;
  options.limits.connection.max_in_flight_bytes = kMiB;
  ServerThread server(options);
  AddGood(&server);
  auto now = std::make_shared<int>(0), most = std::make_shared<int>(0);
  server.Run([=](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [=](std::string_view what) -> int64_t {
      if (what != "read") return 0;
      *most = std::max(*most, ++*now);
      return 5 * kMillisecond;
    };
    world.atoll->behaviour.fail = [=](std::string_view what) {
      if (what == "read") --*now;
      return OkStatus();
    };
    return 0;
  });
  RawClient client(server.socket());
  ASSERT_TRUE(client.Open("good"));
  Script script;
  for (unsigned i = 0; i < 20; ++i) {
    script.Request({.flags = 4, .type = 0, .cookie = i, .length = 256 * kKiB});
  }
  ASSERT_TRUE(client.Say(script));
  const size_t bytes = 20 * (28 + 256 * kKiB);
  EXPECT_EQ(client.Hear(bytes).size(), bytes);
  EXPECT_LE(server.Run([=](ServerWorld) { return *most; }), 4);
  EXPECT_GT(server.Run([=](ServerWorld) { return *most; }), 1);
}

TEST(Server, AnswersRequestsOfOneConnectionOutOfOrder) {
  ServerThread server;
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [](std::string_view what) {
      return what == "read" ? 100 * kMillisecond : 0;
    };
    return 0;
  });
  RawClient client(server.socket());
  ASSERT_TRUE(client.Open("good"));
  ASSERT_TRUE(client.Say(Script()
                             .Request({.type = 0, .cookie = 1, .length = 1})
                             .Request({.type = 3, .cookie = 2})
                             .Request({.type = 0, .cookie = 3, .length = 1})));
  EXPECT_EQ(client.Hear(16), Script().Simple(2).bytes());
  EXPECT_EQ(
      client.Hear(58),
      Script().Chunk(1, 1, 1, Script().U64(0).U8(0)).Chunk(1, 1, 3, Script().U64(0).U8(0)).bytes());
}

TEST(Server, DisconnectAnswersWhatIsInFlightFirst) {
  ServerThread server;
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [](std::string_view) { return 50 * kMillisecond; };
    return 0;
  });
  RawClient client(server.socket());
  ASSERT_TRUE(client.Open("good"));
  ASSERT_TRUE(
      client.Say(Script().Request({.type = 3, .cookie = 1}).Request({.type = 2, .cookie = 2})));
  EXPECT_EQ(client.Hear(100), Script().Simple(1).bytes());
}

TEST(Server, AFlushOnOneConnectionCoversWritesOnAnother) {
  ServerThread server;
  AddGood(&server);
  Handle first(server.uri("good")), second(server.uri("good"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(nbd_can_multi_conn(first.get()), 1);
  ASSERT_EQ(nbd_pwrite(first.get(), "x", 1, 0, 0), 0);
  ASSERT_EQ(nbd_flush(second.get(), 0), 0);
  auto unflushed = [](ServerWorld world) { return world.atoll->Find("good")->unflushed; };
  EXPECT_EQ(server.Run(unflushed), 0u);
  ASSERT_EQ(nbd_pwrite(first.get(), "x", 1, 0, LIBNBD_CMD_FLAG_FUA), 0);
  EXPECT_EQ(server.Run(unflushed), 0u);
  ASSERT_EQ(nbd_trim(first.get(), 4096, 0, 0), 0);
  EXPECT_EQ(server.Run(unflushed), 1u);
  char back = 0;
  ASSERT_EQ(nbd_pread(second.get(), &back, 1, 0, 0), 0);
  EXPECT_EQ(back, 0);
}

TEST(Server, GracefulStopAnswersWhatIsInFlightAndClosesDevices) {
  ServerThread server;
  AddGood(&server);
  server.Run([](ServerWorld world) {
    world.atoll->behaviour.delay_ns = [](std::string_view what) {
      return what == "write" ? 200 * kMillisecond : 0;
    };
    return 0;
  });
  RawClient client(server.socket()), idle(server.socket()), greeted(server.socket());
  ASSERT_TRUE(client.Open("good"));
  ASSERT_TRUE(idle.Open("good"));
  ASSERT_TRUE(client.Say(Script().Request({.type = 1, .cookie = 5, .length = 1}).Text("x")));
  ASSERT_TRUE(server.Eventually([](ServerWorld world) {
    for (const auto& row : world.server->Stats()) {
      if (row.in_flight > 0) return true;
    }
    return false;
  }));
  server.Stop(StopMode::kGraceful);
  EXPECT_EQ(client.Hear(100), Script().Simple(5).bytes());
  EXPECT_TRUE(idle.IsClosed());
  EXPECT_TRUE(greeted.IsClosed());
  EXPECT_EQ(Connections(&server), 0u);
  EXPECT_EQ(server.Run([](ServerWorld world) { return world.atoll->Find("good")->open_devices; }),
            0u);
  EXPECT_FALSE(RawClient(server.socket()).connected());
  EXPECT_FALSE(std::filesystem::exists(server.socket()));
}

TEST(Server, GracefulStopGivesUpOnClientsThatDoNotRead) {
  ServerOptions options;
  options.limits.stop_grace_ns = 200 * kMillisecond;
  ServerThread server(options);
  AddGood(&server);
  RawClient client(server.socket());
  ASSERT_TRUE(client.Open("disk"));
  Script script;
  for (unsigned i = 0; i < 4; ++i) {
    script.Request({.flags = 4, .type = 0, .cookie = i, .length = 8 * kMiB});
  }
  ASSERT_TRUE(client.Say(script));
  ASSERT_TRUE(server.Eventually([](ServerWorld world) {
    for (const auto& row : world.server->Stats()) {
      if (row.reads == 4) return true;
    }
    return false;
  }));
  const auto begin = Clock::now();
  server.Stop(StopMode::kGraceful);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(190));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
}

TEST(Server, CountsWhatItDoes) {
  ServerThread server;
  AddGood(&server);
  Honest honest(&server);
  honest.Work(10);
  const PortStats row = server.Run([](ServerWorld world) { return world.server->Stats().front(); });
  EXPECT_EQ(row.port, "nbd");
  EXPECT_EQ(row.object, "good");
  EXPECT_EQ(row.reads, 10u);
  EXPECT_EQ(row.writes, 10u);
  EXPECT_EQ(row.errors, 0u);
  EXPECT_EQ(row.read_bytes, row.write_bytes);
  const LatencySnapshot latency = row.Latency();
  EXPECT_GE(latency.count, 20u);
  EXPECT_GT(latency.PercentileNs(0.5), 0);
  EXPECT_LE(latency.PercentileNs(1), static_cast<int64_t>(row.max_ns));
}

}  // namespace
}  // namespace atl::nbd
