// SPDX-License-Identifier: Apache-2.0
//
// A store that another process of the node has open: the same contract, one hop a call.
//
// What is read and lies in the page cache need not be asked for: after ReadBeside it is read here
// (peers/store/file/blob_reader.h). A process that takes the place of the store's is asked anew
// where the blobs are.
//
// Data that lies in the segment is used there in place. All peers of the node share the one
// instance: what one of them adopts all of them may write, and Close only ends this object.
//
// Errors: those of the store, and kUnavailable once its process has ended.
//
// Threads: the client's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "peers/port_rpc/rpc_client.h"
#include "peers/store/file/blob_reader.h"
#include "peers/store/store.h"

namespace atl {

class RemoteStore : public Store {
 public:
  // The client outlives the store.
  static Task<Result<std::unique_ptr<RemoteStore>>> Connect(RpcClient* client,
                                                            std::string_view port_name);
  RemoteStore(RpcClient* client, RpcTarget target, StoreInfo info)
      : client_(client), target_(std::move(target)), info_(std::move(info)) {}

  // TryRead may find something from now on, if the store says that its blobs may be read in files
  // and they are at `path`.
  void ReadBeside(Executor& executor, std::string path);

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
  bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) override;
  Task<Status> Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                     WriteOptions options) override;
  Task<Status> Zero(const BlobId& blob, ByteRange range, ZeroOptions options) override;
  Task<Status> Punch(const BlobId& blob, ByteRange range) override;
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
  template <typename O>
  Task<Status> Tell(O op, ConstSpan in = {}, MutSpan out = {});
  template <typename O>
  Task<Result<uint64_t>> Count(O op);
  Task<Result<std::unique_ptr<BlobReader>>> MakeReader();
  Task<void> FindFolder();

  RpcClient* client_;
  RpcTarget target_;
  StoreInfo info_;
  bool closed_ = false;

  // Of ReadBeside.
  Executor* executor_ = nullptr;
  std::string path_;
  std::unique_ptr<BlobReader> reader_;  // Null: each read is asked for.
  uint32_t asked_life_ = 0;  // Of the store's process that was asked where its blobs are.
  bool asking_ = false;
  TaskGroup background_;
};

}  // namespace atl
