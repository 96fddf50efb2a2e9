// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_store.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "peers/store/file/layout.h"
#include "peers/store/limits.h"
#include "peers/store/sha256.h"

namespace atl {

FileStore::FileStore(std::unique_ptr<FileContext> context, RecordDirs records, ChunkDirs chunks)
    : context_(std::move(context)),
      records_(std::move(records)),
      chunks_(std::move(chunks)),
      blobs_(*context_),
      logs_(*context_) {}

FileStore::~FileStore() { CHECK(context_->running == 0) << "a store is destroyed while in use"; }

// Runs `work` on a helper thread as an operation of this store. It must return a Status or a
// Result.
template <typename Work>
Task<std::invoke_result_t<Work>> FileStore::Offload(Work work) {
  CO_RETURN_IF_ERROR(context_->Alive());
  const Running running(*context_);
  co_return co_await context_->executor.Offload(std::move(work));
}

Task<Result<Capacity>> FileStore::GetCapacity() {
  const auto work = [this]() -> Result<Capacity> {
    context_->reserve.Refill();
    struct statvfs info;
    if (sys::Fstatvfs(context_->root.get(), &info) != 0) {
      return PosixError(errno, "statvfs", context_->root.path);
    }
    return Capacity{.total_bytes = info.f_blocks * info.f_frsize,
                    .free_bytes = info.f_bavail * info.f_frsize,
                    .reserve_bytes = context_->reserve.bytes()};
  };
  co_return co_await Offload(work);
}

BlobFolder FileStore::folder() const {
  return in_memory_ || context_->direct || sums_generation_ != 0 ? BlobFolder()
                                                                 : FolderOf(context_->blobs);
}

Task<void> FileStore::Close() {
  context_->closed = true;
  while (context_->running > 0) co_await context_->idle;
  co_await blobs_.CloseAll();
  logs_.CloseAll();
}

// --- Blobs and logs ------------------------------------------------------------------------------

Task<Status> FileStore::Adopt(const BlobId& blob, int64_t wait_ns) {
  return blobs_.Adopt(blob, wait_ns);
}
Task<Status> FileStore::AdoptLog(const LogId& log, int64_t wait_ns) {
  return logs_.Adopt(log, wait_ns);
}
Task<void> FileStore::Disown(const BlobId& blob) { return blobs_.Disown(blob); }
Task<void> FileStore::DisownLog(const LogId& log) { return logs_.Disown(log); }
Task<Status> FileStore::Seal(const BlobId& blob) { return blobs_.Seal(blob); }
Task<Status> FileStore::SealLog(const LogId& log) { return logs_.Seal(log); }

Task<Status> FileStore::Read(const BlobId& blob, uint64_t offset, MutSpan out) {
  return blobs_.Read(blob, offset, out);
}
Task<Status> FileStore::Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                              WriteOptions options) {
  return blobs_.Write(blob, offset, data, options);
}
bool FileStore::TryRead(const BlobId& blob, uint64_t offset, MutSpan out) {
  return blobs_.TryRead(blob, offset, out);
}
bool FileStore::TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) {
  return blobs_.TryWrite(blob, offset, data);
}
ConstSpan FileStore::TryView(const BlobId& blob, uint64_t offset, size_t length) {
  return blobs_.TryView(blob, offset, length);
}
Task<Status> FileStore::Zero(const BlobId& blob, ByteRange range, ZeroOptions options) {
  return blobs_.Zero(blob, range, options);
}
Task<Status> FileStore::Punch(const BlobId& blob, ByteRange range) {
  return blobs_.Zero(blob, range, ZeroOptions{});
}
Task<Status> FileStore::Sync(const BlobId& blob) { return blobs_.Sync(blob); }
Task<Result<std::vector<BlobExtent>>> FileStore::Extents(const BlobId& blob, ByteRange range) {
  return blobs_.Extents(blob, range);
}
Task<Result<uint64_t>> FileStore::Usage(const BlobId& blob) { return blobs_.Usage(blob); }
Task<Status> FileStore::Copy(const BlobId& from, const BlobId& to, ByteRange range) {
  return blobs_.Copy(from, to, range);
}
Task<Status> FileStore::Remove(const BlobId& blob) { return blobs_.Remove(blob); }

Task<Status> FileStore::Reserve(const LogId& log, uint64_t length) {
  return logs_.Reserve(log, length);
}
Task<Status> FileStore::Append(const LogId& log, uint64_t position, ConstSpan data) {
  return logs_.Append(log, position, data);
}
Task<Status> FileStore::SyncLog(const LogId& log) { return logs_.Sync(log); }
Task<Result<size_t>> FileStore::ReadLog(const LogId& log, uint64_t position, MutSpan out) {
  return logs_.Read(log, position, out);
}
Task<Status> FileStore::TrimLog(const LogId& log, uint64_t length) {
  return logs_.Trim(log, length);
}
Task<Result<uint64_t>> FileStore::LogUsage(const LogId& log) { return logs_.Usage(log); }
Task<Status> FileStore::RemoveLog(const LogId& log) { return logs_.Remove(log); }

// --- Chunks --------------------------------------------------------------------------------------

Task<Status> FileStore::PutChunk(const ChunkId& id, ConstSpan data) {
  CO_RETURN_IF_ERROR(CheckChunk(id, data.size()));
  // Whoever owns `data` may change it at any time; the copy is hashed and stored.
  const auto copy = std::make_shared<const Bytes>(data.begin(), data.end());
  const auto work = [this, id, copy]() -> Status {
    if (Sha256(*copy) != id) {
      return {Code::kInvalid, "chunk " + ToHex(id) + ": the content has another hash"};
    }
    return chunks_.Put(id, *copy);
  };
  co_return co_await Offload(work);
}

Task<Result<Bytes>> FileStore::GetChunk(const ChunkId& id) {
  const auto work = [this, id] { return chunks_.Get(id); };
  co_return co_await Offload(work);
}

Task<Status> FileStore::RemoveChunk(const ChunkId& id) {
  const auto work = [this, id] { return chunks_.Remove(id); };
  co_return co_await Offload(work);
}

// --- Records -------------------------------------------------------------------------------------

Task<Result<Record>> FileStore::GetRecord(const RecordKey& key, ReadFor purpose) {
  const auto work = [this, key, purpose] { return records_.Get(key, purpose); };
  co_return co_await Offload(work);
}

Task<Result<uint64_t>> FileStore::SwapRecord(const RecordKey& key, uint64_t expected,
                                             ConstSpan payload, const Uuid& operation) {
  CO_RETURN_IF_ERROR(CheckRecordPayload(key, payload, operation));
  const auto work = [this, key, expected, payload, operation] {
    const auto swap = [&] { return records_.Swap(key, expected, payload, operation); };
    return WithReserve(context_->reserve, swap);
  };
  co_return co_await Offload(work);
}

Task<Status> FileStore::RemoveRecord(const RecordKey& key, uint64_t version,
                                     const Uuid& operation) {
  CO_RETURN_IF_ERROR(CheckRecordPayload(key, {}, operation));
  const auto work = [this, key, version, operation] {
    const auto remove = [&] { return records_.Remove(key, version, operation); };
    return WithReserve(context_->reserve, remove);
  };
  co_return co_await Offload(work);
}

// --- Listing -------------------------------------------------------------------------------------

namespace {

// The names of `dir` that `parse` understands, in order. Foreign names are nobody's blobs.
template <typename Id, typename Parse>
Result<std::vector<Id>> ListIds(const Dir& dir, Parse parse) {
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  std::vector<Id> ids;
  for (const std::string& name : names) {
    if (const auto id = parse(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

template <typename Id, typename List>
Task<Result<Page<Id>>> FileStore::ListPage(ListCache<Id>& cache, std::optional<Id> after,
                                           uint32_t limit, List list) {
  CO_RETURN_IF_ERROR(CheckPage(limit));
  if (!cache.Continues(after)) {
    CO_ASSIGN_OR_RETURN(auto ids, co_await Offload(list));
    cache.Fill(std::move(ids));
  }
  co_return cache.Take(after, limit);
}

Task<Result<Page<BlobId>>> FileStore::ListBlobs(std::optional<BlobId> after, uint32_t limit) {
  const auto list = [this] { return ListIds<BlobId>(context_->blobs, ParseBlobName); };
  co_return co_await ListPage(blob_list_, after, limit, list);
}

Task<Result<Page<LogId>>> FileStore::ListLogs(std::optional<LogId> after, uint32_t limit) {
  const auto list = [this] { return ListIds<LogId>(context_->logs, ParseLogName); };
  co_return co_await ListPage(log_list_, after, limit, list);
}

Task<Result<Page<ChunkId>>> FileStore::ListChunks(std::optional<ChunkId> after, uint32_t limit) {
  const auto list = [this] { return chunks_.List(); };
  co_return co_await ListPage(chunk_list_, after, limit, list);
}

Task<Result<Page<RecordKey>>> FileStore::ListRecords(RecordKind kind,
                                                     std::optional<RecordName> after,
                                                     uint32_t limit) {
  const auto list = [this, kind]() -> Result<std::vector<RecordKey>> {
    ASSIGN_OR_RETURN(const auto names, records_.List(kind));
    std::vector<RecordKey> keys;
    for (const RecordName& name : names) keys.push_back({.kind = kind, .name = name});
    return keys;
  };
  std::optional<RecordKey> from;
  if (after) from = RecordKey{.kind = kind, .name = *after};
  while (true) {
    CO_ASSIGN_OR_RETURN(auto page, co_await ListPage(record_list_, from, limit, list));
    if (page.items.empty()) co_return page;
    from = page.items.back();
    // A directory may be what is left of a record that was removed.
    const auto filter = [this, &page]() -> Status {
      std::erase_if(page.items, [this](const RecordKey& key) { return !records_.IsThere(key); });
      return {};
    };
    CO_RETURN_IF_ERROR(co_await Offload(filter));
    if (!page.items.empty() || page.last) co_return page;
  }
}

// --- Sweeping ------------------------------------------------------------------------------------

namespace {

Result<uint64_t> SweepTmp(const Dir& tmp, bool dry_run) {
  uint64_t count = 0;
  ASSIGN_OR_RETURN(const auto names, ListNames(tmp));
  for (const std::string& name : names) {
    if (name.starts_with(kRemovedPrefix)) {
      ++count;
      if (!dry_run) {
        const Status status = RemoveTree(tmp, name);
        if (!status.ok() && status.code() != Code::kNotFound) return status;
      }
    } else if (name.starts_with(kTempPrefix)) {
      const auto fd = OpenFileAt(tmp, name, O_RDWR);
      if (!fd.ok()) continue;
      ASSIGN_OR_RETURN(const bool dead, TryLock(fd->get(), tmp.PathOf(name)));
      if (!dead) continue;
      ++count;
      if (!dry_run) RETURN_IF_ERROR(UnlinkAt(tmp, name));
    }
  }
  return count;
}

}  // namespace

Task<Result<uint64_t>> FileStore::Sweep(bool dry_run) {
  const uint64_t closed = dry_run ? 0 : blobs_.CloseRemoved();
  if (!dry_run) context_->SettleWitnesses();
  const auto work = [this, dry_run]() -> Result<uint64_t> {
    ASSIGN_OR_RETURN(const uint64_t records, records_.Sweep(dry_run));
    ASSIGN_OR_RETURN(const uint64_t temporaries, SweepTmp(context_->tmp, dry_run));
    if (!dry_run) context_->reserve.Refill();
    return records + temporaries;
  };
  CO_ASSIGN_OR_RETURN(const uint64_t swept, co_await Offload(work));
  co_return closed + swept;
}

}  // namespace atl
