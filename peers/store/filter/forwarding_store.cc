// SPDX-License-Identifier: Apache-2.0
#include "peers/store/filter/forwarding_store.h"

#include <fmt/format.h>

namespace atl {
namespace {

constexpr std::string_view kNames[kStoreOpCount] = {
    "get_capacity", "adopt",         "adopt_log",    "disown",       "disown_log",  "seal",
    "seal_log",     "read",          "write",        "zero",         "punch",       "sync",
    "extents",      "usage",         "copy",         "remove",       "list_blobs",  "reserve",
    "append",       "sync_log",      "read_log",     "trim_log",     "log_usage",   "remove_log",
    "list_logs",    "put_chunk",     "get_chunk",    "remove_chunk", "list_chunks", "get_record",
    "swap_record",  "remove_record", "list_records", "sweep",        "close"};

const Status& StatusOf(const Status& status) { return status; }
template <typename T>
Status StatusOf(const Result<T>& result) {
  return result.ok() ? OkStatus() : result.status();
}

struct TargetText {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const BlobId& id) const { return " blob " + id.ToString(); }
  std::string operator()(const LogId& id) const { return " " + id.ToString(); }
  std::string operator()(const RecordKey& key) const { return " " + key.ToString(); }
  std::string operator()(const ChunkId& id) const { return " chunk " + ToHex(id); }
};

}  // namespace

std::string_view NameOf(StoreOp op) { return kNames[static_cast<size_t>(op)]; }

Result<StoreOp> ParseStoreOp(std::string_view name) {
  std::string known;
  for (size_t i = 0; i < kStoreOpCount; ++i) {
    if (kNames[i] == name) return static_cast<StoreOp>(i);
    known += fmt::format("{}{}", i == 0 ? "" : ", ", kNames[i]);
  }
  return Status(Code::kInvalid,
                fmt::format("no store operation is called '{}'; there are {}", name, known));
}

std::string Describe(const StoreCall& call) {
  return fmt::format("{}{}", NameOf(call.op), std::visit(TargetText(), call.target));
}

// The one point. `inner` has not begun yet: a Task starts when it is awaited, and one that never is
// does nothing.
template <typename Made>
Made ForwardingStore::Through(StoreCall call, Made inner) {
  CO_RETURN_IF_ERROR(co_await Before(call));
  auto outcome = co_await inner;
  const Status told = co_await After(call, StatusOf(outcome));
  if (StatusOf(outcome).ok() && !told.ok()) co_return told;
  co_return outcome;
}

Task<void> ForwardingStore::ThroughVoid(StoreCall call, Task<void> inner) {
  co_await inner;
  (void)co_await After(call, OkStatus());
}

Task<Result<Capacity>> ForwardingStore::GetCapacity() {
  return Through({.op = StoreOp::kGetCapacity}, below_->GetCapacity());
}
Task<void> ForwardingStore::Close() {
  return ThroughVoid({.op = StoreOp::kClose}, below_->Close());
}

Task<Status> ForwardingStore::Adopt(const BlobId& blob, int64_t wait_ns) {
  return Through({.op = StoreOp::kAdopt, .target = blob, .wait_ns = wait_ns},
                 below_->Adopt(blob, wait_ns));
}
Task<Status> ForwardingStore::AdoptLog(const LogId& log, int64_t wait_ns) {
  return Through({.op = StoreOp::kAdoptLog, .target = log}, below_->AdoptLog(log, wait_ns));
}
Task<void> ForwardingStore::Disown(const BlobId& blob) {
  return ThroughVoid({.op = StoreOp::kDisown, .target = blob}, below_->Disown(blob));
}
Task<void> ForwardingStore::DisownLog(const LogId& log) {
  return ThroughVoid({.op = StoreOp::kDisownLog, .target = log}, below_->DisownLog(log));
}
Task<Status> ForwardingStore::Seal(const BlobId& blob) {
  return Through({.op = StoreOp::kSeal, .target = blob}, below_->Seal(blob));
}
Task<Status> ForwardingStore::SealLog(const LogId& log) {
  return Through({.op = StoreOp::kSealLog, .target = log}, below_->SealLog(log));
}

Task<Status> ForwardingStore::Read(const BlobId& blob, uint64_t offset, MutSpan out) {
  return Through({.op = StoreOp::kRead, .target = blob, .range = {offset, out.size()}},
                 below_->Read(blob, offset, out));
}
Task<Status> ForwardingStore::Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                                    WriteOptions options) {
  return Through(
      {.op = StoreOp::kWrite, .target = blob, .range = {offset, data.size()}, .data = data},
      below_->Write(blob, offset, data, options));
}
Task<Status> ForwardingStore::Zero(const BlobId& blob, ByteRange range, ZeroOptions options) {
  return Through({.op = StoreOp::kZero, .target = blob, .range = range},
                 below_->Zero(blob, range, options));
}
Task<Status> ForwardingStore::Punch(const BlobId& blob, ByteRange range) {
  return Through({.op = StoreOp::kPunch, .target = blob, .range = range},
                 below_->Punch(blob, range));
}
Task<Status> ForwardingStore::Sync(const BlobId& blob) {
  return Through({.op = StoreOp::kSync, .target = blob}, below_->Sync(blob));
}
Task<Result<std::vector<BlobExtent>>> ForwardingStore::Extents(const BlobId& blob,
                                                               ByteRange range) {
  return Through({.op = StoreOp::kExtents, .target = blob, .range = range},
                 below_->Extents(blob, range));
}
Task<Result<uint64_t>> ForwardingStore::Usage(const BlobId& blob) {
  return Through({.op = StoreOp::kUsage, .target = blob}, below_->Usage(blob));
}
Task<Status> ForwardingStore::Copy(const BlobId& from, const BlobId& to, ByteRange range) {
  return Through({.op = StoreOp::kCopy, .target = to, .range = range, .from = from},
                 below_->Copy(from, to, range));
}
Task<Status> ForwardingStore::Remove(const BlobId& blob) {
  return Through({.op = StoreOp::kRemove, .target = blob}, below_->Remove(blob));
}
Task<Result<Page<BlobId>>> ForwardingStore::ListBlobs(std::optional<BlobId> after, uint32_t limit) {
  return Through({.op = StoreOp::kListBlobs}, below_->ListBlobs(after, limit));
}

Task<Status> ForwardingStore::Reserve(const LogId& log, uint64_t length) {
  return Through({.op = StoreOp::kReserve, .target = log, .range = {0, length}},
                 below_->Reserve(log, length));
}
Task<Status> ForwardingStore::Append(const LogId& log, uint64_t position, ConstSpan data) {
  return Through(
      {.op = StoreOp::kAppend, .target = log, .range = {position, data.size()}, .data = data},
      below_->Append(log, position, data));
}
Task<Status> ForwardingStore::SyncLog(const LogId& log) {
  return Through({.op = StoreOp::kSyncLog, .target = log}, below_->SyncLog(log));
}
Task<Result<size_t>> ForwardingStore::ReadLog(const LogId& log, uint64_t position, MutSpan out) {
  return Through({.op = StoreOp::kReadLog, .target = log, .range = {position, out.size()}},
                 below_->ReadLog(log, position, out));
}
Task<Status> ForwardingStore::TrimLog(const LogId& log, uint64_t length) {
  return Through({.op = StoreOp::kTrimLog, .target = log, .range = {0, length}},
                 below_->TrimLog(log, length));
}
Task<Result<uint64_t>> ForwardingStore::LogUsage(const LogId& log) {
  return Through({.op = StoreOp::kLogUsage, .target = log}, below_->LogUsage(log));
}
Task<Status> ForwardingStore::RemoveLog(const LogId& log) {
  return Through({.op = StoreOp::kRemoveLog, .target = log}, below_->RemoveLog(log));
}
Task<Result<Page<LogId>>> ForwardingStore::ListLogs(std::optional<LogId> after, uint32_t limit) {
  return Through({.op = StoreOp::kListLogs}, below_->ListLogs(after, limit));
}

Task<Status> ForwardingStore::PutChunk(const ChunkId& id, ConstSpan data) {
  return Through({.op = StoreOp::kPutChunk, .target = id, .range = {0, data.size()}, .data = data},
                 below_->PutChunk(id, data));
}
Task<Result<Bytes>> ForwardingStore::GetChunk(const ChunkId& id) {
  return Through({.op = StoreOp::kGetChunk, .target = id}, below_->GetChunk(id));
}
Task<Status> ForwardingStore::RemoveChunk(const ChunkId& id) {
  return Through({.op = StoreOp::kRemoveChunk, .target = id}, below_->RemoveChunk(id));
}
Task<Result<Page<ChunkId>>> ForwardingStore::ListChunks(std::optional<ChunkId> after,
                                                        uint32_t limit) {
  return Through({.op = StoreOp::kListChunks}, below_->ListChunks(after, limit));
}

Task<Result<Record>> ForwardingStore::GetRecord(const RecordKey& key, ReadFor purpose) {
  return Through({.op = StoreOp::kGetRecord, .target = key}, below_->GetRecord(key, purpose));
}
Task<Result<uint64_t>> ForwardingStore::SwapRecord(const RecordKey& key, uint64_t expected,
                                                   ConstSpan payload, const Uuid& operation) {
  return Through({.op = StoreOp::kSwapRecord,
                  .target = key,
                  .range = {0, payload.size()},
                  .data = payload,
                  .version = expected},
                 below_->SwapRecord(key, expected, payload, operation));
}
Task<Status> ForwardingStore::RemoveRecord(const RecordKey& key, uint64_t version,
                                           const Uuid& operation) {
  return Through({.op = StoreOp::kRemoveRecord, .target = key, .version = version},
                 below_->RemoveRecord(key, version, operation));
}
Task<Result<Page<RecordKey>>> ForwardingStore::ListRecords(RecordKind kind,
                                                           std::optional<RecordName> after,
                                                           uint32_t limit) {
  return Through({.op = StoreOp::kListRecords}, below_->ListRecords(kind, after, limit));
}
Task<Result<uint64_t>> ForwardingStore::Sweep(bool dry_run) {
  return Through({.op = StoreOp::kSweep, .dry_run = dry_run}, below_->Sweep(dry_run));
}

}  // namespace atl
