// SPDX-License-Identifier: Apache-2.0
//
// Reads what the page cache has of a file store's blobs, in a process that does not have the store
// open, beside the one that has. Both see the same pages, so what was written there is read here;
// whoever would have to be told of a read, a filter or checksums, must not stand in between.
//
// It holds no locks and makes no promise: what is not at hand it leaves to a call of the store. A
// file is opened in the background once it is wanted, and stays open as long as few others are.
//
// Threads: the executor's. Close before it is destroyed.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>

#include "peers/store/blob_folder.h"
#include "peers/store/file/file_views.h"
#include "peers/store/file/posix.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class BlobReader {
 public:
  static constexpr size_t kMostOpenFiles = 256;

  // `path`: of the store. kStale if its blobs are not those of `expected`. Blocks. The executor
  // outlives the reader.
  static Result<std::unique_ptr<BlobReader>> Open(Executor& executor, const std::string& path,
                                                  const BlobFolder& expected);

  // As of Store.
  bool TryRead(const BlobId& id, uint64_t offset, MutSpan out);
  // The blob is being removed: its space becomes free once nobody has its files open.
  void Forget(const BlobId& id) { table_.CloseAll(id, false); }
  // The same for what others have removed.
  void CloseRemoved() { (void)table_.CloseRemoved(); }
  Task<void> Close();
  size_t open_files() const { return table_.size(); }

 private:
  // How long a file that could not be opened is not tried again.
  static constexpr int64_t kRetryNs = kSecond;
  static constexpr size_t kMostAbsent = 4'096;

  BlobReader(Executor& executor, Dir blobs) : executor_(executor), blobs_(std::move(blobs)) {}
  void Want(const FileKey& key);
  Task<void> OpenFileOf(FileKey key);

  Executor& executor_;
  Dir blobs_;
  FileTable table_{kMostOpenFiles};
  FileViews views_{&table_};
  // Files that are not open, and when it may be tried; until then it is under way, or was in vain.
  absl::flat_hash_map<FileKey, int64_t, FileTable::Hash> absent_;
  bool closed_ = false;
  TaskGroup opening_;
};

// Of an open directory; none if it cannot be told.
BlobFolder FolderOf(const Dir& blobs, sys::Site site = sys::Site::current());

}  // namespace atl
