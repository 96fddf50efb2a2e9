// SPDX-License-Identifier: Apache-2.0
//
// What the tests share whose stores lose answers, hold calls or fail at the wrong moment.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/peers/volumes/node_harness.h"

namespace atl {

inline bool IsHeaderSwap(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key != nullptr && key->kind == RecordKind::kHeader;
}

inline bool IsOfHeader(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return key != nullptr && key->kind == RecordKind::kHeader;
}

inline bool IsOfNodes(const StoreCall& call) {
  const auto* log = std::get_if<LogId>(&call.target);
  return log != nullptr && log->kind == LogKind::kNodes;
}

// A request that was made and not waited for.
struct Pending {
  bool ended = false;
  Status status;
};

class Disturbed : public ::testing::Test {
 protected:
  static Task<void> Follow(Task<Status> task, std::shared_ptr<Pending> out) {
    out->status = co_await std::move(task);
    out->ended = true;
  }
  // Begins it, and lets everything run until it waits.
  std::shared_ptr<Pending> Begin(Task<Status> task) {
    auto pending = std::make_shared<Pending>();
    Spawn(Follow(std::move(task), pending));
    LetRun();
    return pending;
  }
  void LetRun() { env_.Run(Doze(&env_)); }

  static Task<Status> SnapTask(LocalAtoll* atoll, std::string volume, std::string name, Uuid uuid) {
    SnapshotSpec spec;
    spec.uuid = uuid;
    spec.volume = ResourceRef::Named(std::move(volume));
    spec.name = std::move(name);
    co_return (co_await atoll->Snapshot(spec)).status();
  }
  static Task<Status> ReleaseTask(LocalAtoll* atoll, std::string name) {
    const ResourceRef ref = ResourceRef::Named(std::move(name));
    co_return co_await atoll->Release(ref);
  }

  Status WriteGrain(Device* device, uint64_t grain, char fill) {
    const Bytes data(kSubGrain, std::byte(fill));
    return env_.Run(device->Write(grain * kSubGrain, data, {}));
  }
  // Two changes of the map a round, and no memory. Ends early once `*stop` is true.
  static Task<void> Toggle(Device* device, uint64_t grain, int rounds, const bool* stop,
                           Status* out) {
    const Bytes data(kSubGrain, std::byte{'x'});
    for (int i = 0; i < rounds && !*stop && out->ok(); ++i) {
      Status status = co_await device->Write(grain * kSubGrain, data, {});
      if (status.ok()) status = co_await device->Discard({grain * kSubGrain, kSubGrain}, {});
      if (!status.ok()) *out = status;
    }
  }
  static Task<Status> ToggleMany(Device* device, uint64_t tasks, int rounds,
                                 const bool* stop = nullptr) {
    static constexpr bool kNever = false;
    Status status;
    TaskGroup group;
    for (uint64_t i = 0; i < tasks; ++i)
      group.Run(Toggle(device, i * 2, rounds, stop ? stop : &kNever, &status));
    co_await group.Join();
    co_return status;
  }

  // Its client goes. What it has asked for may go on as long as the device lives.
  void Leave(Device* device) { env_.Run(CloseTask(device)); }
  void Close(std::unique_ptr<Device>& device) {
    Leave(device.get());
    device.reset();
  }
  static bool ComposerIsOpen(MemoryNode& node) {
    const auto open = node.atoll().open_table().Snapshot();
    return !open.empty() && open.front().second->composer != nullptr;
  }
  static Composer& ComposerOf(MemoryNode& node) {
    return *node.atoll().open_table().Snapshot().front().second->composer;
  }

  TestEnv env_;
  MemoryWorld world_;

 private:
  static Task<int> Doze(Env* env) {
    co_await env->Sleep(10 * kMillisecond);
    co_return 0;
  }
  static Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
};

}  // namespace atl
