// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_table.h"

#include <utility>

#include "peers/store/file/sys.h"
#include "xseg/base/check.h"

namespace atl {

OpenFile* FileTable::Find(const FileKey& key) {
  const auto at = files_.find(key);
  if (at == files_.end()) return nullptr;
  at->second->used = true;
  return at->second.get();
}

OpenFile* FileTable::Insert(const FileKey& key, Fd fd) {
  Trim();
  auto [at, fresh] = files_.try_emplace(key, std::make_unique<OpenFile>());
  CHECK(fresh);
  OpenFile* file = at->second.get();
  file->key = key;
  file->fd = std::move(fd);
  file->age = ages_.insert(ages_.end(), file);
  return file;
}

void FileTable::Close(OpenFile* file) {
  CHECK(file->pins == 0);
  ages_.erase(file->age);
  files_.erase(file->key);
}

void FileTable::Trim() {
  // After one round nothing counts as used any more, so a second one finds all that can go.
  for (size_t looks = 2 * ages_.size(); looks > 0 && files_.size() >= limit_; --looks) {
    OpenFile* file = ages_.front();
    if (file->pins == 0 && !file->dirty && !file->used) {
      Close(file);
      continue;
    }
    file->used = false;
    ages_.splice(ages_.end(), ages_, file->age);
  }
}

void FileTable::CloseAll(const BlobId& blob, bool writable_only) {
  for (auto at = ages_.begin(); at != ages_.end();) {
    OpenFile* file = *at++;
    if (file->key.blob != blob || file->pins > 0) continue;
    if (file->key.writable || !writable_only) Close(file);
  }
}

uint64_t FileTable::CloseRemoved() {
  uint64_t count = 0;
  for (auto at = ages_.begin(); at != ages_.end();) {
    OpenFile* file = *at++;
    struct stat info;
    if (file->pins > 0 || sys::Fstat(file->fd.get(), &info) != 0 || info.st_nlink > 0) continue;
    Close(file);
    ++count;
  }
  return count;
}

std::vector<std::unique_ptr<FileView>> FileTable::TakeViews(const std::optional<FileKey>& only) {
  std::vector<std::unique_ptr<FileView>> views;
  for (OpenFile* file : ages_) {
    if (only && file->key != *only) continue;
    file->views_wanted = 0;
    if (file->view) views.push_back(std::move(file->view));
  }
  return views;
}

OpenFile* FileTable::OldestDirtyOverLimit() {
  if (files_.size() < limit_) return nullptr;
  for (OpenFile* file : ages_) {
    if (file->pins == 0 && file->dirty) return file;
  }
  return nullptr;
}

}  // namespace atl
