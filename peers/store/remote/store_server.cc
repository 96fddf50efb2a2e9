// SPDX-License-Identifier: Apache-2.0
#include "peers/store/remote/store_server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace atl {
namespace {

constexpr int64_t kInheritWait = 10 * kSecond;

Result<ByteTotal> Total(Result<uint64_t> bytes) {
  if (!bytes.ok()) return bytes.status();
  return ByteTotal{*bytes};
}

// Whoever was here before us and died may have removed it.
Status Removed(const RpcCall& call, Status status) {
  return call.replayed && status.code() == Code::kNotFound ? OkStatus() : status;
}

}  // namespace

Task<Result<StoreInfo>> StoreServer::Do(const RpcCall&, StoreInfoOp&) { co_return store_->info(); }
Task<Result<BlobFolder>> StoreServer::Do(const RpcCall&, StoreFolderOp&) { co_return folder_; }
Task<Result<Capacity>> StoreServer::Do(const RpcCall&, StoreCapacityOp&) {
  return store_->GetCapacity();
}

// --- Who may write -------------------------------------------------------------------------------

Task<Status> StoreServer::Noted(Status adopted, Holding what) {
  if (!adopted.ok()) co_return adopted;
  held_.insert(what);
  co_return keeper_ != nullptr ? co_await keeper_->Note(what) : OkStatus();
}

// If it cannot be told, a successor adopts more than it has to.
Task<void> StoreServer::Dropped(Holding what) {
  held_.erase(what);
  if (keeper_ == nullptr) co_return;
  (void)co_await keeper_->Drop(what);
  // Somebody has adopted it meanwhile, and what he said may have been heard first.
  if (held_.contains(what)) (void)co_await keeper_->Note(what);
}

Task<void> StoreServer::Inherit(std::vector<Holding> holdings) {
  for (const Holding& what : holdings) {
    if (!what.blob && !what.log) continue;
    // I/O of the dead one may be under way for a while.
    const Status adopted = what.blob ? co_await store_->Adopt(*what.blob, kInheritWait)
                                     : co_await store_->AdoptLog(*what.log, kInheritWait);
    if (adopted.ok()) {
      held_.insert(what);
    } else {
      spdlog::warn("{}: not taken over: {}", store_->info().name, adopted.ToString());
    }
  }
}

Task<Status> StoreServer::Do(const RpcCall&, StoreAdoptOp& op) {
  const Status adopted = co_await store_->Adopt(op.blob, std::max<int64_t>(op.wait_ns, 0));
  co_return co_await Noted(adopted, {.blob = op.blob});
}
Task<Status> StoreServer::Do(const RpcCall&, StoreAdoptLogOp& op) {
  const Status adopted = co_await store_->AdoptLog(op.log, std::max<int64_t>(op.wait_ns, 0));
  co_return co_await Noted(adopted, {.log = op.log});
}
Task<Status> StoreServer::Do(const RpcCall&, StoreDisownOp& op) {
  co_await store_->Disown(op.blob);
  co_await Dropped({.blob = op.blob});
  co_return OkStatus();
}
Task<Status> StoreServer::Do(const RpcCall&, StoreDisownLogOp& op) {
  co_await store_->DisownLog(op.log);
  co_await Dropped({.log = op.log});
  co_return OkStatus();
}
Task<Status> StoreServer::Do(const RpcCall&, StoreSealOp& op) { return store_->Seal(op.blob); }
Task<Status> StoreServer::Do(const RpcCall&, StoreSealLogOp& op) { return store_->SealLog(op.log); }

// --- Blobs ---------------------------------------------------------------------------------------

Task<Status> StoreServer::Do(const RpcCall& call, StoreReadOp& op) {
  if (store_->TryRead(op.blob, op.offset, call.data)) co_return OkStatus();
  co_return co_await store_->Read(op.blob, op.offset, call.data);
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreWriteOp& op) {
  if (!op.options.data_sync && store_->TryWrite(op.blob, op.offset, call.data))
    co_return OkStatus();
  co_return co_await store_->Write(op.blob, op.offset, call.data, op.options);
}
Task<Status> StoreServer::Do(const RpcCall&, StoreZeroOp& op) {
  return store_->Zero(op.blob, op.range, op.options);
}
Task<Status> StoreServer::Do(const RpcCall&, StorePunchOp& op) {
  return store_->Punch(op.blob, op.range);
}
Task<Status> StoreServer::Do(const RpcCall&, StoreSyncOp& op) { return store_->Sync(op.blob); }
Task<Result<ExtentList>> StoreServer::Do(const RpcCall&, StoreExtentsOp& op) {
  auto extents = co_await store_->Extents(op.blob, op.range);
  if (!extents.ok()) co_return extents.status();
  if (extents->size() > kMaxStoreExtents) extents->resize(kMaxStoreExtents);
  co_return ExtentList{*std::move(extents)};
}
Task<Result<ByteTotal>> StoreServer::Do(const RpcCall&, StoreUsageOp& op) {
  co_return Total(co_await store_->Usage(op.blob));
}
Task<Status> StoreServer::Do(const RpcCall&, StoreCopyOp& op) {
  return store_->Copy(op.from, op.to, op.range);
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreRemoveOp& op) {
  const Status removed = Removed(call, co_await store_->Remove(op.blob));
  if (removed.ok()) co_await Dropped({.blob = op.blob});
  co_return removed;
}
Task<Result<Page<BlobId>>> StoreServer::Do(const RpcCall&, StoreListBlobsOp& op) {
  return store_->ListBlobs(op.after, op.limit);
}

// --- Logs ----------------------------------------------------------------------------------------

Task<Status> StoreServer::Do(const RpcCall&, StoreReserveOp& op) {
  return store_->Reserve(op.log, op.length);
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreAppendOp& op) {
  return store_->Append(op.log, op.position, call.data);
}
Task<Status> StoreServer::Do(const RpcCall&, StoreSyncLogOp& op) { return store_->SyncLog(op.log); }
Task<Result<ByteTotal>> StoreServer::Do(const RpcCall& call, StoreReadLogOp& op) {
  auto got = co_await store_->ReadLog(op.log, op.position, call.data);
  if (!got.ok()) co_return got.status();
  co_return ByteTotal{*got};
}
Task<Status> StoreServer::Do(const RpcCall&, StoreTrimLogOp& op) {
  return store_->TrimLog(op.log, op.length);
}
Task<Result<ByteTotal>> StoreServer::Do(const RpcCall&, StoreLogUsageOp& op) {
  co_return Total(co_await store_->LogUsage(op.log));
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreRemoveLogOp& op) {
  const Status removed = Removed(call, co_await store_->RemoveLog(op.log));
  if (removed.ok()) co_await Dropped({.log = op.log});
  co_return removed;
}
Task<Result<Page<LogId>>> StoreServer::Do(const RpcCall&, StoreListLogsOp& op) {
  return store_->ListLogs(op.after, op.limit);
}

// --- Chunks --------------------------------------------------------------------------------------

Task<Status> StoreServer::Do(const RpcCall& call, StorePutChunkOp& op) {
  return store_->PutChunk(op.id, call.data);
}
Task<Result<ChunkContent>> StoreServer::Do(const RpcCall&, StoreGetChunkOp& op) {
  auto bytes = co_await store_->GetChunk(op.id);
  if (!bytes.ok()) co_return bytes.status();
  co_return ChunkContent{*std::move(bytes)};
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreRemoveChunkOp& op) {
  co_return Removed(call, co_await store_->RemoveChunk(op.id));
}
Task<Result<Page<ChunkId>>> StoreServer::Do(const RpcCall&, StoreListChunksOp& op) {
  return store_->ListChunks(op.after, op.limit);
}

// --- Records -------------------------------------------------------------------------------------

Task<Result<Record>> StoreServer::Do(const RpcCall&, StoreGetRecordOp& op) {
  return store_->GetRecord(op.key, op.purpose);
}
Task<Result<RecordVersion>> StoreServer::Do(const RpcCall& call, StoreSwapRecordOp& op) {
  auto made = co_await store_->SwapRecord(op.key, op.expected, call.data, op.operation);
  if (!made.ok()) co_return made.status();
  co_return RecordVersion{*made};
}
Task<Status> StoreServer::Do(const RpcCall& call, StoreRemoveRecordOp& op) {
  co_return Removed(call, co_await store_->RemoveRecord(op.key, op.version, op.operation));
}
Task<Result<Page<RecordKey>>> StoreServer::Do(const RpcCall&, StoreListRecordsOp& op) {
  return store_->ListRecords(op.kind, op.after, op.limit);
}
Task<Result<ByteTotal>> StoreServer::Do(const RpcCall&, StoreSweepOp& op) {
  co_return Total(co_await store_->Sweep(op.dry_run));
}

}  // namespace atl
