// SPDX-License-Identifier: Apache-2.0
//
// A LocalServer over memory on a thread of its own, and clients in the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernel/local/local_client.h"
#include "kernel/local/server.h"
#include "tests/kernel/nbd/server_thread.h"

namespace atl::local {

class LocalWorld {
 public:
  // "disk" of 64 MiB and its read-only "snap".
  explicit LocalWorld(Limits limits = {}) {
    thread_.RunTask([this, limits](nbd::ServerWorld world) { return Start(world, limits); });
  }
  ~LocalWorld() {
    thread_.RunTask([this](nbd::ServerWorld) { return End(); });
  }

  std::string socket() const { return thread_.directory() + "/local.sock"; }
  Result<std::unique_ptr<LocalClient>> TryConnect(const std::string& name,
                                                  Mode mode = Mode::kReadWrite) {
    return LocalClient::Connect(socket(), {name, mode});
  }
  std::unique_ptr<LocalClient> Connect(const std::string& name = "disk",
                                       Mode mode = Mode::kReadWrite) {
    auto client = TryConnect(name, mode);
    CHECK(client.ok()) << client.status().ToString();
    return *std::move(client);
  }
  void Stop() {
    thread_.RunTask([this](nbd::ServerWorld) { return server_->Stop(StopMode::kGraceful); });
  }
  void Delay(int64_t ns) {
    thread_.Run([ns](nbd::ServerWorld world) {
      world.atoll->behaviour.delay_ns = [ns](std::string_view what) {
        return what == "show" || what == "open" ? 0 : ns;
      };
      return 0;
    });
  }
  void Fail(Status status) {
    thread_.Run([status](nbd::ServerWorld world) {
      world.atoll->behaviour.fail = [status](std::string_view what) {
        return what == "show" || what == "open" ? OkStatus() : status;
      };
      return 0;
    });
  }
  uint64_t open_devices() {
    return thread_.Run(
        [](nbd::ServerWorld world) { return world.atoll->Find("disk")->open_devices; });
  }
  uint64_t flushes() {
    return thread_.Run([](nbd::ServerWorld world) { return world.atoll->Find("disk")->flushes; });
  }
  size_t clients() {
    return thread_.Run([this](nbd::ServerWorld) { return server_->clients(); });
  }
  // No client is left, and nothing of it.
  bool IsQuiet() {
    return thread_.Eventually([this](nbd::ServerWorld world) {
      return server_->clients() == 0 && world.atoll->Find("disk")->open_devices == 0;
    });
  }
  bool HasClients(size_t count) {
    return thread_.Eventually(
        [this, count](nbd::ServerWorld) { return server_->clients() == count; });
  }
  PortStats Row(const std::string& name) {
    return thread_.Run([this, name](nbd::ServerWorld) {
      for (PortStats& row : server_->Stats()) {
        if (row.object == name) return row;
      }
      return PortStats();
    });
  }

 private:
  Task<void> Start(nbd::ServerWorld world, Limits limits) {
    world.atoll->Add("disk", 64 * kMiB);
    world.atoll->Add("snap", kMiB, ResourceKind::kSnapshot);
    server_ = std::make_unique<LocalServer>(world.executor, world.atoll,
                                            ServerOptions{.path = socket(), .limits = limits});
    const Status status = co_await server_->Start();
    CHECK(status.ok()) << status.ToString();
  }
  Task<void> End() {
    co_await server_->Stop(StopMode::kNow);
    server_.reset();
  }

  nbd::ServerThread thread_;
  std::unique_ptr<LocalServer> server_;
};

inline void FillWith(MutSpan bytes, int value) {
  std::ranges::fill(bytes, static_cast<std::byte>(value));
}
inline bool IsAll(ConstSpan bytes, int value) {
  return std::ranges::all_of(
      bytes, [value](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

// One request to its end.
inline Status Ask(LocalClient& client, Op op, ByteRange range = {}, uint16_t flags = 0) {
  auto request = client.Prepare(op, range, flags);
  CHECK(request.has_value());
  auto answer = client.Call(std::move(*request));
  return answer.ok() ? LocalClient::Outcome(*answer) : answer.status();
}
inline Status Write(LocalClient& client, ByteRange range, int value, uint16_t flags = 0) {
  auto request = client.Prepare(kOpWrite, range, flags);
  auto buffer = client.port().buffers().Allocate(range.length);
  CHECK(request && buffer);
  FillWith(buffer->bytes(), value);
  request->Carry(std::move(*buffer));
  auto answer = client.Call(std::move(*request));
  return answer.ok() ? LocalClient::Outcome(*answer) : answer.status();
}
inline Result<Bytes> Read(LocalClient& client, ByteRange range) {
  auto request = client.Prepare(kOpRead, range);
  auto buffer = client.port().buffers().Allocate(range.length);
  CHECK(request && buffer);
  FillWith(buffer->bytes(), 0xEE);
  request->Carry(std::move(*buffer));
  ASSIGN_OR_RETURN(Request answer, client.Call(std::move(*request)));
  RETURN_IF_ERROR(LocalClient::Outcome(answer));
  const SharedBuffer back = answer.TakeBuffer();
  return Bytes(back.bytes().begin(), back.bytes().end());
}
inline bool ReadsAs(LocalClient& client, ByteRange range, int value) {
  const auto bytes = Read(client, range);
  return bytes.ok() && bytes->size() == range.length && IsAll(*bytes, value);
}

}  // namespace atl::local
