// SPDX-License-Identifier: Apache-2.0
//
// A served MemoryAtoll in a folder of its own, for tests of the socket.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "peers/client/control_server.h"
#include "peers/client/remote_atoll.h"
#include "peers/client/unix_socket.h"
#include "tests/peers/client/memory_atoll.h"
#include "xseg/base/executor.h"

namespace atl {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "atoll-test-XXXXXX").string();
    CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

class FakeNode final : public NodeControl {
 public:
  Task<Result<NodeStatus>> GetStatus() override {
    NodeStatus status;
    status.placement = "fused";
    status.pid = getpid();
    status.peers = {{"memory", getpid(), "running", 0}};
    co_return status;
  }
  Task<Status> Stop() override {
    ++stops;
    co_return Status();
  }
  Task<Status> RestartPeer(std::string name) override {
    co_return Status(Code::kNotFound, "peer " + name + ": there is none");
  }
  Task<Result<Report>> GetReport(ReportSpec spec) override {
    co_return Report{spec.name + " of " + spec.argument, true};
  }
  int stops = 0;
};

struct ControlWorld {
  TempFolder folder;
  Executor executor;
  MemoryAtoll atoll{executor};
  FakeNode node;
  ControlHost host{executor, atoll, node};
  std::unique_ptr<ControlServer> server;

  std::string socket() const { return folder / "node.sock"; }
  void Listen() {
    auto listening = ControlServer::Listen(host, socket());
    CHECK(listening.ok()) << listening.status().ToString();
    server = *std::move(listening);
  }
  std::unique_ptr<RemoteAtoll> Connect() {
    auto remote = RemoteAtoll::Connect(executor, socket());
    CHECK(remote.ok()) << remote.status().ToString();
    return *std::move(remote);
  }
  template <typename T>
  auto Run(Task<T> task) {
    return executor.RunUntilDone(std::move(task));
  }
  // Runs what is ready until `condition` holds; false after five seconds.
  template <typename F>
  bool RunUntil(F condition) {
    auto wait = [](Executor& executor, F& condition) -> Task<bool> {
      const int64_t end = executor.BootNs() + 5 * kSecond;
      while (!condition()) {
        if (executor.BootNs() > end) co_return false;
        co_await executor.Sleep(kMillisecond);
      }
      co_return true;
    };
    return Run(wait(executor, condition));
  }
  Uuid MakeVolume(RemoteAtoll& remote, const std::string& name, uint64_t size) {
    CreateSpec spec;
    spec.uuid = executor.NewUuid();
    spec.name = name;
    spec.size = size;
    const auto made = Run(remote.Create(spec));
    CHECK(made.ok()) << made.status().ToString();
    return made->uuid;
  }
};

}  // namespace atl
