// SPDX-License-Identifier: Apache-2.0
//
// Where the server listens: Unix sockets and TCP.
#include <gtest/gtest.h>
#include <libnbd.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "kernel/nbd/server.h"
#include "tests/kernel/nbd/raw_client.h"
#include "tests/kernel/nbd/server_clients.h"

namespace atl::nbd {
namespace {

TEST(Listening, ListensOnTcpOnlyIfConfigured) {
  EXPECT_EQ(ServerThread().Run([](ServerWorld world) { return world.server->tcp_port(); }), 0);
  for (const char* host : {"127.0.0.1", "::1"}) {
    ServerOptions options;
    options.tcp = TcpAddress{.host = host, .port = 0};
    ServerThread server(options);
    AddGood(&server);
    const auto port = server.Run([](ServerWorld world) { return world.server->tcp_port(); });
    ASSERT_NE(port, 0);
    const std::string literal =
        std::string(host).find(':') == std::string::npos ? host : "[" + std::string(host) + "]";
    Handle handle("nbd://" + literal + ":" + std::to_string(port) + "/good");
    ASSERT_TRUE(handle.ok()) << handle.error();
    EXPECT_EQ(nbd_get_size(handle.get()), static_cast<int64_t>(kMiB));
    ASSERT_EQ(nbd_pwrite(handle.get(), "hello", 5, 3, 0), 0);
  }
}

Status StartAt(const std::string& path, std::optional<TcpAddress> tcp = {}) {
  Executor executor;
  MemoryAtoll atoll(&executor);
  ServerOptions options;
  options.unix_path = path;
  options.tcp = tcp;
  NbdServer server(&executor, &atoll, options);
  const Status status = executor.RunUntilDone(server.Start());
  executor.RunUntilDone(server.Stop(StopMode::kGraceful));
  return status;
}

TEST(Listening, ReplacesTheSocketOfADeadServerOnly) {
  ServerThread live;
  EXPECT_EQ(StartAt(live.socket()).code(), Code::kBusy);
  EXPECT_TRUE(RawClient(live.socket()).connected());

  const std::string stale = live.directory() + "/stale";
  {
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, stale.data(), stale.size());
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  EXPECT_TRUE(StartAt(stale).ok());

  const std::string file = live.directory() + "/file";
  std::ofstream(file) << "precious";
  EXPECT_EQ(StartAt(file).code(), Code::kExists);
  EXPECT_EQ(std::filesystem::file_size(file), 8u);
}

// What a killed server with requests in flight leaves for a moment: its process is gone, its socket
// still takes connections.
TEST(Listening, ReplacesASocketThatOutlivesItsProcess) {
  ServerThread live;
  const std::string path = live.directory() + "/outlived";
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  const pid_t server = fork();
  ASSERT_GE(server, 0);
  if (server == 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    _exit(bind(fd.get(), raw, sizeof(address)) == 0 && listen(fd.get(), 8) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(server, &status, 0), server);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(RawClient(path).connected());
  EXPECT_TRUE(StartAt(path).ok());
}

TEST(Listening, SaysClearlyWhyItCannotListen) {
  EXPECT_EQ(StartAt("/nonexistent/directory/socket").code(), Code::kNotFound);
  EXPECT_EQ(StartAt("/tmp/" + std::string(200, 'x')).code(), Code::kInvalid);
  ServerThread live;
  const std::string path = live.directory() + "/second";
  EXPECT_EQ(StartAt(path, TcpAddress{.host = "not.a.number", .port = 0}).code(), Code::kInvalid);
  EXPECT_FALSE(std::filesystem::exists(path)) << "nothing is left behind";
}

TEST(Listening, TheSocketIsForOwnerAndGroup) {
  ServerThread server;
  struct stat info;
  ASSERT_EQ(stat(server.socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
}

}  // namespace
}  // namespace atl::nbd
