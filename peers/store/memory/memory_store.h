// SPDX-License-Identifier: Apache-2.0
//
// A store on the heap: for tests, for the simulator, and for volumes that may die with the node.
// One MemoryStore is one instance on a MemoryWorld. Deterministic: its only randomness is the Env's
// and the world's.
//
// A world that `durable_at_ack` keeps no second copy of anything; otherwise unsynced changes are
// tracked so that PowerLoss can take them back (sparse_space.h has the fault model).
//
// Threads: the thread of its Env. A store is closed or dead, and idle, before it is destroyed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "peers/store/memory/memory_world.h"
#include "peers/store/store.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

struct MemoryStoreOptions {
  std::string name = "memory";
  // Shared, and outlives the store. Null: a world of its own, made with `own_world`.
  MemoryWorld* world = nullptr;
  MemoryWorldOptions own_world = {};
  // How long an operation is under way, chosen at random in between; 0 and 0: none suspends.
  int64_t min_delay_ns = 0;
  int64_t max_delay_ns = 0;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(Env& env, MemoryStoreOptions options = {});
  ~MemoryStore() override;

  // The instance dies as by kill -9. Its callers are answered kUnavailable. Changes in flight still
  // land, `late_ns` from now, and until then whoever adopts their blob or log waits for them.
  void Die(int64_t late_ns = 0);
  bool dead() const { return dead_; }

  const StoreInfo& info() const override { return info_; }
  Task<Result<Capacity>> GetCapacity() override;
  Task<void> Close() override;

  Task<Status> Adopt(const BlobId& blob, int64_t wait_ns) override;
  Task<Status> AdoptLog(const LogId& log, int64_t wait_ns) override;
  Task<void> Disown(const BlobId& blob) override;
  Task<void> DisownLog(const LogId& log) override;
  Task<Status> Seal(const BlobId& blob) override;
  Task<Status> SealLog(const LogId& log) override;

  Task<Status> Read(const BlobId& blob, uint64_t offset, MutSpan out) override;
  Task<Status> Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                     WriteOptions options) override;
  Task<Status> Zero(const BlobId& blob, ByteRange range, ZeroOptions options) override;
  Task<Status> Punch(const BlobId& blob, ByteRange range) override;
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override;
  bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) override;
  Task<Status> Sync(const BlobId& blob) override;
  Task<Result<std::vector<BlobExtent>>> Extents(const BlobId& blob, ByteRange range) override;
  Task<Result<uint64_t>> Usage(const BlobId& blob) override;
  Task<Status> Copy(const BlobId& from, const BlobId& to, ByteRange range) override;
  Task<Status> Remove(const BlobId& blob) override;
  Task<Result<Page<BlobId>>> ListBlobs(std::optional<BlobId> after, uint32_t limit) override;

  Task<Status> Reserve(const LogId& log, uint64_t length) override;
  Task<Status> Append(const LogId& log, uint64_t position, ConstSpan data) override;
  Task<Status> SyncLog(const LogId& log) override;
  Task<Result<size_t>> ReadLog(const LogId& log, uint64_t position, MutSpan out) override;
  Task<Status> TrimLog(const LogId& log, uint64_t length) override;
  Task<Result<uint64_t>> LogUsage(const LogId& log) override;
  Task<Status> RemoveLog(const LogId& log) override;
  Task<Result<Page<LogId>>> ListLogs(std::optional<LogId> after, uint32_t limit) override;

  Task<Status> PutChunk(const ChunkId& id, ConstSpan data) override;
  Task<Result<Bytes>> GetChunk(const ChunkId& id) override;
  Task<Status> RemoveChunk(const ChunkId& id) override;
  Task<Result<Page<ChunkId>>> ListChunks(std::optional<ChunkId> after, uint32_t limit) override;

  Task<Result<Record>> GetRecord(const RecordKey& key, ReadFor purpose) override;
  Task<Result<uint64_t>> SwapRecord(const RecordKey& key, uint64_t expected, ConstSpan payload,
                                    const Uuid& operation) override;
  Task<Status> RemoveRecord(const RecordKey& key, uint64_t version, const Uuid& operation) override;
  Task<Result<Page<RecordKey>>> ListRecords(RecordKind kind, std::optional<RecordName> after,
                                            uint32_t limit) override;
  Task<Result<uint64_t>> Sweep(bool dry_run) override;

 private:
  friend class MemoryWorld;
  class Flight;
  using World = MemoryWorld;

  void LosePower();
  // ok, or that this instance is dead or closed.
  Status Alive() const;
  // "STORE: THING".
  std::string Named(const BlobId& id) const { return info_.name + ": blob " + id.ToString(); }
  std::string Named(const LogId& id) const { return info_.name + ": " + id.ToString(); }
  std::string Named(const RecordKey& id) const { return info_.name + ": " + id.ToString(); }
  std::string Named(const ChunkId& id) const { return info_.name + ": chunk " + ToHex(id); }
  template <typename Id>
  Status Missing(const Id& id) const {
    return {Code::kNotFound, Named(id) + " is not there"};
  }

  // As long as an operation is under way, and longer for one whose instance died meanwhile.
  Task<void> Travel();
  bool travels() const { return options_.max_delay_ns > 0; }
  // Of what could be done at once a half is not, as by a cache that has only some of it.
  bool MissesCache() { return travels() && env_.Random() % 2 == 0; }

  template <typename Things, typename Make, typename Id>
  Task<Status> AdoptIn(Things& things, Make make, Id id, int64_t wait_ns);
  template <typename Things, typename Id>
  Task<void> DisownIn(Things& things, Id id);
  // The thing, for reading it.
  template <typename Things, typename Id>
  auto Find(Things& things, const Id& id) -> Result<typename Things::mapped_type>;
  // The thing, for changing it: adopted by this instance.
  template <typename Things, typename Id>
  auto Mine(Things& things, const Id& id) -> Result<typename Things::mapped_type>;
  template <typename Things, typename Id>
  Task<Result<Page<Id>>> ListIn(const Things& things, std::optional<Id> after, uint32_t limit);

  void MakeDurable(const RecordKey& key);

  Env& env_;
  MemoryStoreOptions options_;
  std::unique_ptr<MemoryWorld> own_world_;
  MemoryWorld& world_;
  StoreInfo info_;
  uint64_t instance_ = 0;
  bool closed_ = false;
  bool dead_ = false;
  bool power_lost_ = false;
  int64_t lands_at_ns_ = 0;
  uint64_t running_ = 0;  // Operations that have begun and not ended.
  Signal ended_;
};

}  // namespace atl
