// SPDX-License-Identifier: Apache-2.0
#include "peers/store/remote/remote_store.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "peers/store/limits.h"
#include "peers/store_ops.h"

namespace atl {

Task<Result<std::unique_ptr<RemoteStore>>> RemoteStore::Connect(RpcClient* client,
                                                                std::string_view port_name) {
  CO_ASSIGN_OR_RETURN(RpcTarget target, client->Find(port_name));
  const StoreInfoOp op;
  CO_ASSIGN_OR_RETURN(StoreInfo info, co_await client->Call(target, op));
  target.name = "store " + info.name;
  co_return std::make_unique<RemoteStore>(client, std::move(target), std::move(info));
}

void RemoteStore::ReadBeside(Executor& executor, std::string path) {
  executor_ = &executor;
  path_ = std::move(path);
}

// An answer counts for the process that was there before and behind it.
Task<Result<std::unique_ptr<BlobReader>>> RemoteStore::MakeReader() {
  while (true) {
    asked_life_ = client_->LifeOf(target_);
    CO_ASSIGN_OR_RETURN(const BlobFolder folder, co_await client_->Call(target_, StoreFolderOp{}));
    if (client_->LifeOf(target_) != asked_life_) continue;
    if (folder.is_none()) co_return std::unique_ptr<BlobReader>();
    const auto open = [this, folder] { return BlobReader::Open(*executor_, path_, folder); };
    co_return co_await executor_->Offload(open);
  }
}

Task<void> RemoteStore::FindFolder() {
  asking_ = true;
  if (reader_) co_await reader_->Close();
  reader_.reset();
  auto reader = co_await MakeReader();
  if (reader.ok()) {
    reader_ = *std::move(reader);
  } else {
    spdlog::warn("{}: each read is asked of its process: {}", info_.name,
                 reader.status().ToString());
  }
  asking_ = false;
}

template <typename O>
Task<Status> RemoteStore::Tell(O op, ConstSpan in, MutSpan out) {
  if (closed_) co_return Status(Code::kUnavailable, info_.name + " is closed");
  co_return co_await client_->Tell(target_, std::move(op), in, out);
}

template <typename O>
Task<Result<uint64_t>> RemoteStore::Count(O op) {
  const auto total = co_await client_->Call(target_, std::move(op));
  if (!total.ok()) co_return total.status();
  co_return total->bytes;
}

Task<Result<Capacity>> RemoteStore::GetCapacity() {
  return client_->Call(target_, StoreCapacityOp{});
}

Task<void> RemoteStore::Close() {
  closed_ = true;
  co_await background_.Join();
  if (reader_) co_await reader_->Close();
}

Task<Status> RemoteStore::Adopt(const BlobId& blob, int64_t wait_ns) {
  return Tell(StoreAdoptOp{blob, wait_ns});
}
Task<Status> RemoteStore::AdoptLog(const LogId& log, int64_t wait_ns) {
  return Tell(StoreAdoptLogOp{log, wait_ns});
}
Task<void> RemoteStore::Disown(const BlobId& blob) {
  const StoreDisownOp op{blob};
  (void)co_await Tell(op);  // A store that has ended holds nothing.
}
Task<void> RemoteStore::DisownLog(const LogId& log) {
  const StoreDisownLogOp op{log};
  (void)co_await Tell(op);
}
Task<Status> RemoteStore::Seal(const BlobId& blob) { return Tell(StoreSealOp{blob}); }
Task<Status> RemoteStore::SealLog(const LogId& log) { return Tell(StoreSealLogOp{log}); }

// --- Blobs ---------------------------------------------------------------------------------------

// The checks come first, since a request cannot name more data than the largest buffer.
Task<Status> RemoteStore::Read(const BlobId& blob, uint64_t offset, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckIo(blob, offset, out.size()));
  const StoreReadOp op{blob, offset};
  co_return co_await Tell(op, {}, out);
}
bool RemoteStore::TryRead(const BlobId& blob, uint64_t offset, MutSpan out) {
  if (executor_ == nullptr || asking_ || closed_) return false;
  if (client_->LifeOf(target_) != asked_life_) {
    background_.Run(FindFolder());
    return false;
  }
  return reader_ && reader_->TryRead(blob, offset, out);
}
Task<Status> RemoteStore::Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                                WriteOptions options) {
  CO_RETURN_IF_ERROR(CheckIo(blob, offset, data.size()));
  const StoreWriteOp op{blob, offset, options};
  co_return co_await Tell(op, data);
}
Task<Status> RemoteStore::Zero(const BlobId& blob, ByteRange range, ZeroOptions options) {
  return Tell(StoreZeroOp{blob, range, options});
}
Task<Status> RemoteStore::Punch(const BlobId& blob, ByteRange range) {
  return Tell(StorePunchOp{blob, range});
}
Task<Status> RemoteStore::Sync(const BlobId& blob) { return Tell(StoreSyncOp{blob}); }

Task<Result<std::vector<BlobExtent>>> RemoteStore::Extents(const BlobId& id, ByteRange range) {
  const BlobId blob = id;
  std::vector<BlobExtent> all;
  do {
    const StoreExtentsOp op{blob, range};
    CO_ASSIGN_OR_RETURN(const ExtentList some, co_await client_->Call(target_, op));
    for (const BlobExtent& extent : some.items) {
      if (!all.empty() && all.back().kind == extent.kind) {
        all.back().range.length += extent.range.length;
      } else {
        all.push_back(extent);
      }
    }
    const uint64_t at = some.items.empty() ? range.end() : some.items.back().range.end();
    if (at <= range.offset) break;
    range = {at, range.end() - std::min(at, range.end())};
  } while (!range.empty());
  co_return all;
}

Task<Result<uint64_t>> RemoteStore::Usage(const BlobId& blob) { return Count(StoreUsageOp{blob}); }
Task<Status> RemoteStore::Copy(const BlobId& from, const BlobId& to, ByteRange range) {
  return Tell(StoreCopyOp{from, to, range});
}
Task<Status> RemoteStore::Remove(const BlobId& blob) {
  if (reader_) reader_->Forget(blob);
  return Tell(StoreRemoveOp{blob});
}
Task<Result<Page<BlobId>>> RemoteStore::ListBlobs(std::optional<BlobId> after, uint32_t limit) {
  return client_->Call(target_, StoreListBlobsOp{after, limit});
}

// --- Logs ----------------------------------------------------------------------------------------

Task<Status> RemoteStore::Reserve(const LogId& log, uint64_t length) {
  return Tell(StoreReserveOp{log, length});
}
Task<Status> RemoteStore::Append(const LogId& log, uint64_t position, ConstSpan data) {
  CO_RETURN_IF_ERROR(CheckLogIo(log, position, data.size()));
  const StoreAppendOp op{log, position};
  co_return co_await Tell(op, data);
}
Task<Status> RemoteStore::SyncLog(const LogId& log) { return Tell(StoreSyncLogOp{log}); }
Task<Result<size_t>> RemoteStore::ReadLog(const LogId& log, uint64_t position, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckLogIo(log, position, out.size()));
  const StoreReadLogOp op{log, position};
  CO_ASSIGN_OR_RETURN(const ByteTotal got, co_await client_->Call(target_, op, {}, out));
  if (got.bytes > out.size()) co_return Status(Code::kInternal, info_.name + ": read too much");
  co_return static_cast<size_t>(got.bytes);
}
Task<Status> RemoteStore::TrimLog(const LogId& log, uint64_t length) {
  return Tell(StoreTrimLogOp{log, length});
}
Task<Result<uint64_t>> RemoteStore::LogUsage(const LogId& log) {
  return Count(StoreLogUsageOp{log});
}
Task<Status> RemoteStore::RemoveLog(const LogId& log) { return Tell(StoreRemoveLogOp{log}); }
Task<Result<Page<LogId>>> RemoteStore::ListLogs(std::optional<LogId> after, uint32_t limit) {
  return client_->Call(target_, StoreListLogsOp{after, limit});
}

// --- Chunks --------------------------------------------------------------------------------------

Task<Status> RemoteStore::PutChunk(const ChunkId& id, ConstSpan data) {
  CO_RETURN_IF_ERROR(CheckChunk(id, data.size()));
  const StorePutChunkOp op{id};
  co_return co_await Tell(op, data);
}
Task<Result<Bytes>> RemoteStore::GetChunk(const ChunkId& id) {
  const StoreGetChunkOp op{id};
  CO_ASSIGN_OR_RETURN(ChunkContent content, co_await client_->Call(target_, op));
  co_return std::move(content.bytes);
}
Task<Status> RemoteStore::RemoveChunk(const ChunkId& id) { return Tell(StoreRemoveChunkOp{id}); }
Task<Result<Page<ChunkId>>> RemoteStore::ListChunks(std::optional<ChunkId> after, uint32_t limit) {
  return client_->Call(target_, StoreListChunksOp{after, limit});
}

// --- Records -------------------------------------------------------------------------------------

Task<Result<Record>> RemoteStore::GetRecord(const RecordKey& key, ReadFor purpose) {
  return client_->Call(target_, StoreGetRecordOp{key, purpose});
}
Task<Result<uint64_t>> RemoteStore::SwapRecord(const RecordKey& key, uint64_t expected,
                                               ConstSpan payload, const Uuid& operation) {
  CO_RETURN_IF_ERROR(CheckRecordPayload(key, payload, operation));
  const StoreSwapRecordOp op{key, expected, operation};
  CO_ASSIGN_OR_RETURN(const RecordVersion made, co_await client_->Call(target_, op, payload));
  co_return made.version;
}
Task<Status> RemoteStore::RemoveRecord(const RecordKey& key, uint64_t version,
                                       const Uuid& operation) {
  return Tell(StoreRemoveRecordOp{key, version, operation});
}
Task<Result<Page<RecordKey>>> RemoteStore::ListRecords(RecordKind kind,
                                                       std::optional<RecordName> after,
                                                       uint32_t limit) {
  return client_->Call(target_, StoreListRecordsOp{kind, after, limit});
}
Task<Result<uint64_t>> RemoteStore::Sweep(bool dry_run) {
  if (reader_ && !dry_run) reader_->CloseRemoved();
  return Count(StoreSweepOp{dry_run});
}

}  // namespace atl
