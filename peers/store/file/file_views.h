// SPDX-License-Identifier: Apache-2.0
//
// The views of open files: made of those of which many are wanted, and dropped when they are too
// short by now, or all together have become too much.
//
// Threads: the executor's. Join before it is destroyed.
#pragma once

#include <optional>

#include "peers/store/file/file_table.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class FileViews {
 public:
  // Longer reads are not copied from a view: a system call costs less than the rest of it.
  static constexpr size_t kMostCopied = 64 * kKiB;

  explicit FileViews(FileTable* table) : table_(table) {}

  // Null: read the file. None that was given out goes within a call of this.
  FileView* Find(OpenFile* file, ByteRange range);
  Task<void> Join() { return dropping_.Join(); }

 private:
  // Whoever reads a file a few times is served faster without.
  static constexpr uint32_t kViewsToMap = 64;

  Task<void> Drop(std::optional<FileKey> only);

  FileTable* table_;
  bool is_dropping_ = false;
  TaskGroup dropping_;
};

// All of `out`, if the page cache has it: by the file's view, or a system call.
bool ReadCached(FileViews& views, OpenFile* file, uint64_t offset, MutSpan out,
                sys::Site site = sys::Site::current());

}  // namespace atl
