// SPDX-License-Identifier: Apache-2.0
//
// The base of every filter: a store that hands each call to the one below, through one point. What
// a filter does it says by `Before`, which may refuse the call, and `After`, which sees how it
// ended and may turn a success into an error.
//
// Threads: those of the store below, which it owns.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "peers/store/store.h"

namespace atl {

enum class StoreOp : uint8_t {
  kGetCapacity,
  kAdopt,
  kAdoptLog,
  kDisown,
  kDisownLog,
  kSeal,
  kSealLog,
  kRead,
  kWrite,
  kZero,
  kPunch,
  kSync,
  kExtents,
  kUsage,
  kCopy,
  kRemove,
  kListBlobs,
  kReserve,
  kAppend,
  kSyncLog,
  kReadLog,
  kTrimLog,
  kLogUsage,
  kRemoveLog,
  kListLogs,
  kPutChunk,
  kGetChunk,
  kRemoveChunk,
  kListChunks,
  kGetRecord,
  kSwapRecord,
  kRemoveRecord,
  kListRecords,
  kSweep,
  kClose,
};
inline constexpr size_t kStoreOpCount = static_cast<size_t>(StoreOp::kClose) + 1;

// The name of an operation in configuration and messages: "write", "append", "swap_record", ...
std::string_view NameOf(StoreOp op);
Result<StoreOp> ParseStoreOp(std::string_view name);

// One call as a filter sees it. Only for the time of the call.
struct StoreCall {
  StoreOp op = StoreOp::kGetCapacity;
  std::variant<std::monostate, BlobId, LogId, RecordKey, ChunkId> target = {};
  ByteRange range = {};  // Of blobs and logs; else the length of a payload.
  ConstSpan data = {};   // What is to be stored.
  BlobId from = {};      // Of a copy.
  uint64_t version = 0;
  int64_t wait_ns = 0;   // Of an adopt.
  bool dry_run = false;  // Of a sweep.
};
// "write blob UUID.1", for messages.
std::string Describe(const StoreCall& call);

class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::unique_ptr<Store> below) : below_(std::move(below)) {}

  const StoreInfo& info() const override { return below_->info(); }
  Task<Result<Capacity>> GetCapacity() final;
  Task<void> Close() override;

  Task<Status> Adopt(const BlobId& blob, int64_t wait_ns) final;
  Task<Status> AdoptLog(const LogId& log, int64_t wait_ns) final;
  Task<void> Disown(const BlobId& blob) override;
  Task<void> DisownLog(const LogId& log) final;
  Task<Status> Seal(const BlobId& blob) final;
  Task<Status> SealLog(const LogId& log) final;

  Task<Status> Read(const BlobId& blob, uint64_t offset, MutSpan out) override;
  Task<Status> Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                     WriteOptions options) override;
  Task<Status> Zero(const BlobId& blob, ByteRange range, ZeroOptions options) final;
  Task<Status> Punch(const BlobId& blob, ByteRange range) final;
  Task<Status> Sync(const BlobId& blob) final;
  Task<Result<std::vector<BlobExtent>>> Extents(const BlobId& blob, ByteRange range) override;
  Task<Result<uint64_t>> Usage(const BlobId& blob) final;
  Task<Status> Copy(const BlobId& from, const BlobId& to, ByteRange range) override;
  Task<Status> Remove(const BlobId& blob) final;
  Task<Result<Page<BlobId>>> ListBlobs(std::optional<BlobId> after, uint32_t limit) override;

  Task<Status> Reserve(const LogId& log, uint64_t length) final;
  Task<Status> Append(const LogId& log, uint64_t position, ConstSpan data) final;
  Task<Status> SyncLog(const LogId& log) final;
  Task<Result<size_t>> ReadLog(const LogId& log, uint64_t position, MutSpan out) final;
  Task<Status> TrimLog(const LogId& log, uint64_t length) final;
  Task<Result<uint64_t>> LogUsage(const LogId& log) final;
  Task<Status> RemoveLog(const LogId& log) final;
  Task<Result<Page<LogId>>> ListLogs(std::optional<LogId> after, uint32_t limit) final;

  Task<Status> PutChunk(const ChunkId& id, ConstSpan data) final;
  Task<Result<Bytes>> GetChunk(const ChunkId& id) final;
  Task<Status> RemoveChunk(const ChunkId& id) final;
  Task<Result<Page<ChunkId>>> ListChunks(std::optional<ChunkId> after, uint32_t limit) final;

  Task<Result<Record>> GetRecord(const RecordKey& key, ReadFor purpose) final;
  Task<Result<uint64_t>> SwapRecord(const RecordKey& key, uint64_t expected, ConstSpan payload,
                                    const Uuid& operation) final;
  Task<Status> RemoveRecord(const RecordKey& key, uint64_t version, const Uuid& operation) final;
  Task<Result<Page<RecordKey>>> ListRecords(RecordKind kind, std::optional<RecordName> after,
                                            uint32_t limit) final;
  Task<Result<uint64_t>> Sweep(bool dry_run) final;

 protected:
  // An error ends the call here; the store below does not hear of it. Not asked for calls that
  // cannot fail (disown, close).
  virtual Task<Status> Before(const StoreCall& call) = 0;
  // How the call ended below. What it returns is what the caller gets, but it cannot turn an error
  // into a success.
  virtual Task<Status> After(const StoreCall& call, Status outcome) = 0;

  Store& below() { return *below_; }

 private:
  template <typename Made>
  Made Through(StoreCall call, Made inner);
  Task<void> ThroughVoid(StoreCall call, Task<void> inner);

  std::unique_ptr<Store> below_;
};

}  // namespace atl
