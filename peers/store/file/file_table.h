// SPDX-License-Identifier: Apache-2.0
//
// The open files of a store's blobs. A blob of 1 PiB has 1,024 files and a volume may have hundreds
// of blobs, so descriptors are a cache: when there are too many, one goes that was not used since
// it was last looked at. Never one that is in use, nor one with unsynced writes: a descriptor is
// told of a failed writeback, a later one perhaps not.
//
// Closing an idle file of an adopted blob gives up its lock, and that is right: nothing that was
// submitted through it is under way, and the blob's head stays locked.
//
// Threads: the executor's.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "peers/store/file/file_view.h"
#include "peers/store/ids.h"
#include "xseg/base/fd.h"

namespace atl {

struct FileKey {
  BlobId blob;
  uint32_t index = 0;     // Of the TiB.
  bool writable = false;  // Locked for this instance.
  friend bool operator==(const FileKey&, const FileKey&) = default;
};

struct OpenFile {
  FileKey key;
  Fd fd;
  uint32_t pins = 0;
  bool dirty = false;
  bool used = false;  // Since it was last looked at for closing.
  uint32_t views_wanted = 0;
  // Once it is wanted often. Gone within no call that gives one out.
  std::unique_ptr<FileView> view;
  std::list<OpenFile*>::iterator age;
};

// Keeps a file open while it lives; may be of none.
class Pin {
 public:
  Pin() = default;
  explicit Pin(OpenFile* file) : file_(file) {
    if (file_) ++file_->pins;
  }
  Pin(Pin&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~Pin() {
    if (file_) --file_->pins;
  }

  explicit operator bool() const { return file_ != nullptr; }
  OpenFile* operator->() const { return file_; }
  OpenFile* get() const { return file_; }
  int fd() const { return file_->fd.get(); }

 private:
  OpenFile* file_ = nullptr;
};

class FileTable {
 public:
  struct Hash {
    size_t operator()(const FileKey& key) const noexcept {
      return std::hash<BlobId>()(key.blob) ^ (key.index * 0xC2B2AE3D27D4EB4Full + key.writable);
    }
  };

  explicit FileTable(size_t limit) : limit_(limit) {}

  // Null if it is not open. No allocation.
  OpenFile* Find(const FileKey& key);
  // `key` is not in the table. Closes others that are idle and clean, down to the limit.
  OpenFile* Insert(const FileKey& key, Fd fd);
  // Closes all files of `blob` that nobody uses; with `writable` only those.
  void CloseAll(const BlobId& blob, bool writable_only);
  // Closes idle files that have no name any more, so that their space becomes free.
  uint64_t CloseRemoved();
  // Of one file, or of all.
  std::vector<std::unique_ptr<FileView>> TakeViews(const std::optional<FileKey>& only);
  ViewBudget* view_budget() { return &view_budget_; }
  // Above the limit and nothing clean to close: the oldest idle file, to be synced. Else null.
  OpenFile* OldestDirtyOverLimit();
  size_t size() const { return files_.size(); }
  void Clear() {
    ages_.clear();
    files_.clear();
  }

 private:
  void Close(OpenFile* file);
  void Trim();

  size_t limit_;
  ViewBudget view_budget_;  // Outlives the views.
  absl::flat_hash_map<FileKey, std::unique_ptr<OpenFile>, Hash> files_;
  std::list<OpenFile*> ages_;  // Looked at from the front; what was used goes to the back again.
};

}  // namespace atl
