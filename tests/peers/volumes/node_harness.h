// SPDX-License-Identifier: Apache-2.0
//
// Nodes over one memory medium, in virtual time: started, stopped, killed, cut from power. That
// they keep to the contract of the store is checked in all that they do.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "peers/store/filter/forwarding_store.h"
#include "peers/store/memory/memory_store.h"
#include "peers/volumes/local_atoll.h"
#include "tests/peers/volumes/node_parts.h"
#include "xseg/base/sync.h"
#include "xseg/base/test_env.h"

namespace atl {

// ATOLL_SEED repeats one run of a randomised test.
uint64_t SeedOr(uint64_t fallback);

// Calls functions around each call of a store.
class HookFilter final : public ForwardingStore {
 public:
  using Hook = std::function<void(const StoreCall&)>;
  explicit HookFilter(std::unique_ptr<Store> below) : ForwardingStore(std::move(below)) {}
  Hook before;
  Hook after;
  // Not ok: the call has happened, and its caller hears that instead.
  std::function<Status(const StoreCall&)> lose;
  // Not ok: the call is refused with that.
  std::function<Status(const StoreCall&)> fail;
  // Calls that end at once reach the store; the hooks do not see them.
  bool at_once = false;
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override {
    return at_once && below().TryRead(blob, offset, out);
  }
  bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) override {
    return at_once && below().TryWrite(blob, offset, data);
  }
  // The first call for which it is true waits from `stopped` until `go`, and is made then.
  std::function<bool(const StoreCall&)> stops;
  Event stopped;
  Event go;
  // Not null: the call waits for the event, before it reaches the store; or after, so that it is
  // done and its caller does not know yet.
  using Hold = std::function<Event*(const StoreCall&)>;
  Hold hold_before;
  Hold hold_after;

  // For a test whose variables go before its node stops.
  void Clear() {
    before = after = nullptr;
    lose = fail = nullptr;
    stops = nullptr;
    hold_before = hold_after = nullptr;
  }

 private:
  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;
};

struct NodeOptions {
  std::string name = "a";
  int64_t max_delay_ns = 0;  // Of a store's operations, at random.
  int64_t lease_term_ns = 15 * kSecond;
  ComposerOptions composers;
  // Puts something of a test's own over the store.
  std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)> wrap;
};

class MemoryNode {
 public:
  MemoryNode(TestEnv* env, MemoryWorld* world, NodeOptions options = {});

  LocalAtoll& atoll() { return parts_->atoll(); }
  MemoryStore& store() { return *store_; }
  HookFilter& hooks() { return *filter_; }
  StoreSet& stores() { return parts_->stores(); }
  const Uuid& incarnation() const { return parts_->incarnation(); }

  // Isolated: its mapper dies, and another one takes its place.
  bool has_peers() const { return parts_->has_peers(); }
  void ReplaceMapper() { parts_->ReplaceMapper(); }
  // Everything is flushed and released.
  Status Stop();
  // As by kill -9: from now on its store takes nothing from it any more, so what its coroutines
  // still do on their way out has no effect. Devices are dropped before.
  void Kill(int64_t late_ns = 0);

 private:
  TestEnv* env_;
  MemoryStore* store_ = nullptr;
  HookFilter* filter_ = nullptr;
  std::unique_ptr<NodeParts> parts_;
};

// What people do, in one line each. `Env` runs tasks to their end and makes uuids.
template <typename Env>
class HandsIn {
 public:
  HandsIn(Env* env, LocalAtoll* atoll) : env_(env), atoll_(atoll) {}

  Result<ResourceInfo> Create(std::string name, uint64_t size) {
    return Create(std::move(name), size, New());
  }
  Result<ResourceInfo> Create(std::string name, uint64_t size, Uuid uuid) {
    CreateSpec spec;
    spec.uuid = uuid;
    spec.name = std::move(name);
    spec.size = size;
    return env_->Run(atoll_->Create(spec));
  }
  Result<ResourceInfo> Clone(std::string name, std::string snapshot, uint64_t size = 0) {
    return Clone(std::move(name), std::move(snapshot), size, New());
  }
  Result<ResourceInfo> Clone(std::string name, std::string snapshot, uint64_t size, Uuid uuid) {
    CreateSpec spec;
    spec.uuid = uuid;
    spec.name = std::move(name);
    spec.size = size;
    spec.from = ResourceRef::Named(std::move(snapshot));
    return env_->Run(atoll_->Create(spec));
  }
  Result<ResourceInfo> Snap(std::string volume, std::string name) {
    return Snap(std::move(volume), std::move(name), New());
  }
  Result<ResourceInfo> Snap(std::string volume, std::string name, Uuid uuid) {
    SnapshotSpec spec;
    spec.uuid = uuid;
    spec.volume = ResourceRef::Named(std::move(volume));
    spec.name = std::move(name);
    return env_->Run(atoll_->Snapshot(spec));
  }
  Status Remove(const std::string& name) { return env_->Run(atoll_->Remove(Ref(name))); }
  Status Rollback(const std::string& name, const std::string& snapshot) {
    return env_->Run(atoll_->Rollback(Ref(name), Ref(snapshot))).status();
  }
  Status Resize(const std::string& name, uint64_t size) {
    return env_->Run(atoll_->Resize(Ref(name), size, true)).status();
  }
  Status Rename(const std::string& name, std::string next) {
    return env_->Run(atoll_->Rename(Ref(name), std::move(next))).status();
  }
  Status Write(std::string name, uint64_t offset, std::string text, bool flush = false) {
    return env_->Run(WriteTask(std::move(name), offset, std::move(text), flush));
  }
  // What is read, or the error as text.
  std::string Read(std::string name, uint64_t offset, size_t length) {
    return env_->Run(ReadTask(std::move(name), offset, length));
  }
  std::unique_ptr<Device> Open(const std::string& name) {
    auto device = env_->Run(atoll_->Open(Ref(name), OpenMode::kReadWrite));
    EXPECT_TRUE(device.ok()) << device.status().ToString();
    return device.ok() ? *std::move(device) : nullptr;
  }
  Result<GcReport> Collect(bool dry_run = false) {
    return env_->Run(atoll_->CollectGarbage(dry_run));
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto page = env_->Run(atoll_->List({}));
    EXPECT_TRUE(page.ok()) << page.status().ToString();
    if (page.ok()) {
      for (const auto& item : page->items) names.push_back(item.name);
    }
    return names;
  }
  Uuid New() { return env_->NewUuid(); }
  static ResourceRef Ref(const std::string& name) { return ResourceRef::Named(name); }

 private:
  Task<Status> WriteTask(std::string name, uint64_t offset, std::string text, bool flush) {
    const ResourceRef ref = Ref(name);
    CO_ASSIGN_OR_RETURN(auto device, co_await atoll_->Open(ref, OpenMode::kReadWrite));
    Status status = co_await device->Write(offset, AsBytes(text), {});
    if (status.ok() && flush) status = co_await device->Flush();
    co_await device->Close();
    co_return status;
  }
  Task<std::string> ReadTask(std::string name, uint64_t offset, size_t length) {
    const ResourceRef ref = Ref(name);
    auto device = co_await atoll_->Open(ref, OpenMode::kReadOnly);
    if (!device.ok()) co_return device.status().ToString();
    std::string text(length, '?');
    const MutSpan out(reinterpret_cast<std::byte*>(text.data()), text.size());
    const Status status = co_await (*device)->Read(offset, out);
    co_await (*device)->Close();
    co_return status.ok() ? text : status.ToString();
  }

  Env* env_;
  LocalAtoll* atoll_;
};
extern template class HandsIn<TestEnv>;
using Hands = HandsIn<TestEnv>;

}  // namespace atl
