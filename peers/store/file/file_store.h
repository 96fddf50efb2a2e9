// SPDX-License-Identifier: Apache-2.0
//
// A store in a directory of a local file system (or NFS, with fewer promises; see Capabilities).
// layout.h says where things are, docs/FORMAT.md byte by byte.
//
// Threads: the thread of its executor; blocking calls go to the executor's helper threads. Several
// FileStores, in one process or in many, may have the same directory open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/store/file/blob_reader.h"
#include "peers/store/file/blob_set.h"
#include "peers/store/file/chunk_dirs.h"
#include "peers/store/file/context.h"
#include "peers/store/file/log_set.h"
#include "peers/store/file/record_dirs.h"
#include "peers/store/list_cache.h"
#include "peers/store/store.h"

namespace atl {

struct FileStoreOptions {
  std::string name = "file";
  std::string path = {};
  // Makes the store if the directory is absent or empty; otherwise there must be one.
  bool create = false;
  uint64_t reserve_bytes = SpaceReserve::kDefaultBytes;
  // Open files of blobs that are kept; more only while they are in use or unsynced.
  size_t max_open_files = kDefaultOpenFiles;
  // Blobs are read and written past the page cache (direct_io.h). kUnsupported where the file
  // system cannot do that.
  bool direct = false;
  // For who takes the place of this process if it dies, and from whom it has taken that; outlives
  // the store.
  WitnessBox* witnesses = nullptr;
  // Whoever uses it keeps checksums (peers/store/checksum); nobody may open it without them then.
  bool sums = false;
  // It is in a file system in memory, and calls itself a store of driver memory.
  bool in_memory = false;

  static constexpr size_t kDefaultOpenFiles = 4'096;
};

class FileStore final : public Store {
 public:
  // Blocks: for the start of a program. The executor outlives the store.
  static Result<std::unique_ptr<FileStore>> Open(Executor& executor, FileStoreOptions options);
  ~FileStore() override;

  const StoreInfo& info() const override { return info_; }
  // Where BlobReader finds the blobs of this store, if nothing has to stand in between.
  BlobFolder folder() const;
  // Of the checksums, if they are kept.
  uint64_t sums_generation() const { return sums_generation_; }
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
  ConstSpan TryView(const BlobId& blob, uint64_t offset, size_t length) override;
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

  size_t open_files() const { return blobs_.open_files(); }

 private:
  FileStore(std::unique_ptr<FileContext> context, RecordDirs records, ChunkDirs chunks);
  template <typename Work>
  Task<std::invoke_result_t<Work>> Offload(Work work);
  template <typename Id, typename List>
  Task<Result<Page<Id>>> ListPage(ListCache<Id>& cache, std::optional<Id> after, uint32_t limit,
                                  List list);

  std::unique_ptr<FileContext> context_;
  RecordDirs records_;
  ChunkDirs chunks_;
  BlobSet blobs_;
  LogSet logs_;
  StoreInfo info_;
  bool in_memory_ = false;
  uint64_t sums_generation_ = 0;
  ListCache<BlobId> blob_list_;
  ListCache<LogId> log_list_;
  ListCache<ChunkId> chunk_list_;
  ListCache<RecordKey> record_list_;
};

}  // namespace atl
