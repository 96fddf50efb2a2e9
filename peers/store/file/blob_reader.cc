// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/blob_reader.h"

#include <fcntl.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "peers/store/file/blob_dir.h"
#include "peers/store/file/layout.h"
#include "peers/store/limits.h"

namespace atl {

BlobFolder FolderOf(const Dir& blobs, sys::Site site) {
  struct stat info;
  if (sys::Fstat(blobs.get(), &info, site) != 0) return {};
  return {.device = info.st_dev, .inode = info.st_ino};
}

Result<std::unique_ptr<BlobReader>> BlobReader::Open(Executor& executor, const std::string& path,
                                                     const BlobFolder& expected) {
  // The path of the store itself may be a symbolic link.
  const Dir root{Fd(sys::Open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path};
  if (!root.fd.valid()) return PosixError(errno, "open", path);
  ASSIGN_OR_RETURN(Dir blobs, OpenDirAt(root, kBlobsDir));
  if (expected.is_none() || FolderOf(blobs) != expected) {
    return Status(Code::kStale, path + " is not the folder that the store has open");
  }
  return std::unique_ptr<BlobReader>(new BlobReader(executor, std::move(blobs)));
}

Task<void> BlobReader::Close() {
  closed_ = true;
  co_await opening_.Join();
  co_await views_.Join();
  table_.Clear();
}

bool BlobReader::TryRead(const BlobId& id, uint64_t offset, MutSpan out) {
  if (closed_ || !CheckIo(id, offset, out.size()).ok()) return false;
  const FilePart part = FirstPart(offset, out.size());
  if (part.length != out.size()) return false;
  const FileKey key{.blob = id, .index = part.index, .writable = false};
  OpenFile* file = table_.Find(key);
  if (file == nullptr) {
    Want(key);
    return false;
  }
  return ReadCached(views_, file, part.offset, out);
}

void BlobReader::Want(const FileKey& key) {
  const int64_t now_ns = executor_.BootNs();
  const auto known = absent_.find(key);
  if (known != absent_.end() && now_ns < known->second) return;
  if (known == absent_.end() && absent_.size() >= kMostAbsent) {
    absl::erase_if(absent_, [&](const auto& entry) { return entry.second <= now_ns; });
    if (absent_.size() >= kMostAbsent) return;
  }
  absent_[key] = std::numeric_limits<int64_t>::max();
  opening_.Run(OpenFileOf(key));
}

Task<void> BlobReader::OpenFileOf(FileKey key) {
  const auto work = [this, key]() -> Result<std::optional<Fd>> {
    ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(blobs_, key.blob));
    return OpenBlobFileForReading(dir, key.index);
  };
  Result<std::optional<Fd>> opened = co_await executor_.Offload(work);
  if (!opened.ok() || !*opened || closed_) {
    absent_[key] = executor_.BootNs() + kRetryNs;
    co_return;
  }
  absent_.erase(key);
  table_.Insert(key, **std::move(opened));
}

}  // namespace atl
