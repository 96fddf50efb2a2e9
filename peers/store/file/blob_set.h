// SPDX-License-Identifier: Apache-2.0
//
// The blobs of one file store instance: those it has adopted, and the open files of all that it
// reads and writes. Reads and writes that find their file open allocate nothing but their frames.
//
// A failed sync poisons the blob in this instance, for as long as the instance lives: the kernel
// reports a failed writeback once, so a later success would mean nothing. Every later Write and
// Sync answers with the first error. Disowned it has lost the blob: a new Adopt is kFenced.
//
// Threads: the executor's.
#pragma once

#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "peers/store/file/blob_dir.h"
#include "peers/store/file/context.h"
#include "peers/store/file/file_table.h"
#include "peers/store/file/file_views.h"
#include "peers/store/file/given_up.h"

namespace atl {

class BlobSet {
 public:
  explicit BlobSet(FileContext& context) : context_(context), table_(context.max_open_files) {}

  Task<Status> Adopt(BlobId id, int64_t wait_ns);
  Task<void> Disown(BlobId id);
  Task<Status> Seal(BlobId id);
  Task<Status> Read(BlobId id, uint64_t offset, MutSpan out);
  Task<Status> Write(BlobId id, uint64_t offset, ConstSpan data, WriteOptions options);
  bool TryRead(const BlobId& id, uint64_t offset, MutSpan out);
  ConstSpan TryView(const BlobId& id, uint64_t offset, size_t length);
  bool TryWrite(const BlobId& id, uint64_t offset, ConstSpan data);
  Task<Status> Zero(BlobId id, ByteRange range, ZeroOptions options);
  Task<Status> Sync(BlobId id);
  Task<Result<std::vector<BlobExtent>>> Extents(BlobId id, ByteRange range);
  Task<Result<uint64_t>> Usage(BlobId id);
  Task<Status> Copy(BlobId from, BlobId to, ByteRange range);
  Task<Status> Remove(BlobId id);

  uint64_t CloseRemoved() { return table_.CloseRemoved(); }
  // Nothing is under way any more.
  Task<void> CloseAll();
  size_t open_files() const { return table_.size(); }

 private:
  struct Adopted {
    AdoptedBlob blob;
    std::string path;
    Status poison;
    Witnesses witnesses;
    BlobFileSet dirty;
    // Directory entries: how many times some were made, one of them by whomever was here before,
    // and how many of those times a sync that has ended covers.
    uint64_t entries_made = 1;
    uint64_t entries_synced = 0;
    uint64_t in_flight = 0;
    bool leaving = false;
    Signal idle;
    Mutex opening;
    Mutex syncing;
    Mutex edges;  // Of direct_io.h.
  };
  // Keeps an adopted blob from being disowned while it lives; may be of none.
  class Use {
   public:
    explicit Use(Adopted* mine) : mine_(mine) {
      if (mine_) ++mine_->in_flight;
    }
    ~Use() {
      if (mine_ && --mine_->in_flight == 0 && mine_->leaving) mine_->idle.NotifyAll();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Adopted* mine_;
  };

  // For a change; kFenced if this instance may not, or the poison.
  Result<Adopted*> Mine(const BlobId& id);
  Adopted* FindAdopted(const BlobId& id);
  // Where file `index` is not open. A pin of none: it was never made. `mine`: in use, or null.
  Task<Result<Pin>> OpenForReading(BlobId id, uint32_t index, const Adopted* mine);
  Task<Result<Pin>> OpenForWriting(BlobId id, Adopted* mine, uint32_t index);
  // The file that has all of it, if it is open and lies in the page cache, and where.
  OpenFile* FindCached(const BlobId& id, uint64_t offset, size_t length, ByteRange* range);
  // Only an adopted blob, `mine`, has files that are open for writing.
  OpenFile* FindReadable(const BlobId& id, uint32_t index, const Adopted* mine);
  Status ChooseCache(int fd, const std::string& path) const;
  Task<void> AskWitnesses(Adopted* mine);
  Task<void> SyncOldest();
  Task<int> ChangeRange(int fd, int mode, ByteRange range);
  Task<Status> ZeroPart(BlobId id, Adopted* mine, uint32_t index, ByteRange part,
                        ZeroOptions options);
  Task<Status> SyncEntries(Adopted* mine);
  Task<Status> SyncFiles(BlobId id, Adopted* mine);
  Status Poison(Adopted* mine, Status status);
  void MarkDirty(Adopted* mine, OpenFile* file);

  FileContext& context_;
  FileTable table_;
  FileViews views_{&table_};
  std::unordered_map<BlobId, std::unique_ptr<Adopted>> adopted_;
  GivenUp<BlobId> given_up_;
  std::set<BlobId> adopting_;
  Signal adopt_ended_;
};

}  // namespace atl
