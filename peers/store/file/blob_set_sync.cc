// SPDX-License-Identifier: Apache-2.0
//
// Making blobs durable, and what follows if that fails.
#include <fmt/format.h>

#include <utility>

#include "peers/store/file/blob_set.h"

namespace atl {

Status BlobSet::Poison(Adopted* mine, Status status) {
  if (mine->poison.ok()) {
    mine->poison = status.With("after a failed sync");
    mine->witnesses.NoteFailure(context_);
  }
  return status;
}

// Makes room where everything that is open has unsynced writes.
Task<void> BlobSet::SyncOldest() {
  const Pin file(table_.OldestDirtyOverLimit());
  if (!file) co_return;
  const auto at = adopted_.find(file->key.blob);
  CHECK(at != adopted_.end()) << "only adopted blobs have dirty files";
  Adopted* const owner = at->second.get();
  const Use use(owner);
  file->dirty = false;
  const int error = co_await SyncData(context_, file.fd());
  if (error != 0) (void)Poison(owner, PosixError(error, "fdatasync", owner->path));
}

Task<Status> BlobSet::SyncFiles(BlobId id, Adopted* mine) {
  // A write that ends while this runs sets its bit again.
  const BlobFileSet dirty = std::exchange(mine->dirty, {});
  for (uint32_t index = 0; index < kMaxBlobFiles && dirty.any(); ++index) {
    if (!dirty.test(index)) continue;
    auto opened = co_await OpenForWriting(id, mine, index);
    if (!opened.ok()) {
      // A sealed file cannot be opened for writing, but it can be synced.
      if (opened.code() == Code::kFenced) opened = co_await OpenForReading(id, index, mine);
      if (!opened.ok()) co_return Poison(mine, opened.status());
    }
    const Pin file = *std::move(opened);
    if (!file) continue;
    file->dirty = false;
    const int error = co_await SyncData(context_, file.fd());
    if (error != 0) {
      co_return Poison(mine,
                       PosixError(error, "fdatasync", fmt::format("{}/{}", mine->path, index)));
    }
  }
  co_return OkStatus();
}

Task<Status> BlobSet::SyncEntries(Adopted* mine) {
  const auto guard = co_await mine->syncing.Lock();
  if (mine->entries_synced == mine->entries_made || !mine->poison.ok()) co_return mine->poison;
  const uint64_t made = mine->entries_made;
  const auto work = [this, mine]() -> Status {
    RETURN_IF_ERROR(SyncDir(mine->blob.dir));
    return SyncDir(context_.blobs);
  };
  const Status status = co_await context_.executor.Offload(work);
  if (!status.ok()) co_return Poison(mine, status);
  mine->entries_synced = made;
  co_return OkStatus();
}

Task<Status> BlobSet::Sync(BlobId id) {
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  Adopted* const mine = FindAdopted(id);
  if (!mine) {
    CO_RETURN_IF_ERROR(given_up_.PoisonOf(id));
    const auto work = [this, id] { return SyncBlobDir(context_.blobs, id); };
    const Status status = co_await context_.executor.Offload(work);
    given_up_.NoteSync(id, status);
    co_return status;
  }
  const Use use(mine);
  {
    // One at a time: a second one must not find clean what the first is still syncing.
    const auto guard = co_await mine->syncing.Lock();
    CO_RETURN_IF_ERROR(mine->poison);
    CO_RETURN_IF_ERROR(co_await SyncFiles(id, mine));
  }
  co_return co_await SyncEntries(mine);
}

}  // namespace atl
