// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the attacks share: nodes over one world, requests that go on beside the test,
// calls of the store that are held while the attack happens.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/peers/volumes/node_harness.h"

namespace atl {

// A request that was made and not waited for.
struct Ongoing {
  bool ended = false;
  Status status;
  bool ok() const { return ended && status.ok(); }
};

class Attack : public ::testing::Test {
 protected:
  void TearDown() override {
    for (auto& node : nodes_) (void)node->Stop();
  }

  // --- Nodes
  MemoryNode& Start(NodeOptions options = {}) {
    nodes_.push_back(std::make_unique<MemoryNode>(&env_, &world_, std::move(options)));
    return *nodes_.back();
  }
  // The next node over what a dead one has left.
  MemoryNode& StartAfter(MemoryNode& dead) {
    MemoryNode& next = Start({.name = "next"});
    const Status buried = env_.Run(next.atoll().BuryPredecessor(dead.incarnation()));
    EXPECT_TRUE(buried.ok()) << buried.ToString();
    return next;
  }
  MemoryNode& KillAndStart(MemoryNode& node) {
    node.Kill();
    return StartAfter(node);
  }
  MemoryNode& LosePowerAndStart(MemoryNode& node, uint64_t seed) {
    world_.PowerLoss(seed);
    return KillAndStart(node);
  }
  Hands HandsOf(MemoryNode& node) { return {&env_, &node.atoll()}; }

  // --- Requests
  // Until everything waits for what the test holds. Shorter than leases and whoever lingers.
  void LetRun() { env_.Run(Doze(&env_)); }
  static Task<void> Follow(Task<Status> task, std::shared_ptr<Ongoing> out) {
    out->status = co_await task;
    out->ended = true;
  }
  std::shared_ptr<Ongoing> Begin(Task<Status> task) {
    auto ongoing = std::make_shared<Ongoing>();
    Spawn(Follow(std::move(task), ongoing));
    LetRun();
    return ongoing;
  }
  void Await(const std::shared_ptr<Ongoing>& ongoing) {
    const int64_t end_ns = env_.BootNs() + 60 * kSecond;
    while (!ongoing->ended && env_.BootNs() < end_ns) ASSERT_TRUE(env_.Step());
    ASSERT_TRUE(ongoing->ended) << "it waits for something that never comes";
  }
  static Task<Status> WriteTask(Device* device, uint64_t offset, std::string data,
                                bool fua = false) {
    const DeviceWriteOptions options{.fua = fua};
    co_return co_await device->Write(offset, AsBytes(data), options);
  }
  static Task<Status> SnapshotTask(LocalAtoll* atoll, std::string volume, std::string name,
                                   Uuid uuid) {
    SnapshotSpec spec;
    spec.uuid = uuid;
    spec.volume = ResourceRef::Named(std::move(volume));
    spec.name = std::move(name);
    co_return (co_await atoll->Snapshot(spec)).status();
  }
  static Task<Status> CollectTask(LocalAtoll* atoll) {
    co_return (co_await atoll->CollectGarbage(false)).status();
  }
  Status WriteNow(Device* device, uint64_t offset, std::string data, bool fua = false) {
    return env_.Run(WriteTask(device, offset, std::move(data), fua));
  }
  void Close(Device* device) { env_.Run(CloseTask(device)); }

  // --- Calls of the store
  using Wanted = std::function<bool(const StoreCall&)>;
  static Wanted Is(StoreOp op) {
    return [op](const StoreCall& call) { return call.op == op; };
  }
  static const RecordKey* RecordOf(const StoreCall& call, StoreOp op, RecordKind kind) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    return key != nullptr && call.op == op && key->kind == kind ? key : nullptr;
  }
  static Wanted ReadsHeader(Uuid uuid) {
    return [uuid](const StoreCall& call) {
      const RecordKey* key = RecordOf(call, StoreOp::kGetRecord, RecordKind::kHeader);
      return key != nullptr && key->uuid() == uuid;
    };
  }
  static bool SwapsAHeader(const StoreCall& call) {
    return RecordOf(call, StoreOp::kSwapRecord, RecordKind::kHeader) != nullptr;
  }
  static Wanted SwapsHeader(Uuid uuid) {
    return [uuid](const StoreCall& call) {
      return SwapsAHeader(call) && std::get<RecordKey>(call.target).uuid() == uuid;
    };
  }
  // Dies after its `count`th swap of a header from now on.
  static void DieAfterSwaps(MemoryNode& node, int count) {
    node.hooks().after = [&node, left = std::make_shared<int>(count)](const StoreCall& call) {
      if (SwapsAHeader(call) && --*left == 0) node.store().Die();
    };
  }
  // For hooks: holds the next such call until LetGo.
  HookFilter::Hold Once(Wanted wanted) {
    Event* const event = &events_.emplace_back();
    held_ = false;
    return [this, event, wanted](const StoreCall& call) -> Event* {
      if (held_ || event->is_set() || !wanted(call)) return nullptr;
      held_ = true;
      return event;
    };
  }
  void LetGo() {
    events_.back().Set();
    LetRun();
  }

  TestEnv env_;
  MemoryWorld world_;
  std::vector<std::unique_ptr<MemoryNode>> nodes_;
  std::deque<Event> events_;  // One for each Once.
  bool held_ = false;         // Since the last Once.

 private:
  // In naps, for between two of them messages to peers are delivered.
  static Task<int> Doze(Env* env) {
    for (int i = 0; i < 50; ++i) co_await env->Sleep(10 * kMillisecond);
    co_return 0;
  }
  static Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
};

}  // namespace atl
