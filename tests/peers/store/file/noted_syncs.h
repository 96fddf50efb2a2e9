// SPDX-License-Identifier: Apache-2.0
//
// Which directories and files are synced, and when: a file system may commit more than it was asked
// to, so that a power loss does not show a sync that is missing. A program that includes this puts
// an fsync of its own before the library's, which notes what it is called for, and can be told to
// fail or to take its time. Syncs of data go through the ring and are not seen here.
//
// Included by one file of a program. Threads: any.
#pragma once

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>

#include "xseg/base/check.h"

namespace atl {

struct NotedSyncs {
  std::mutex mutex;
  std::set<ino_t> synced;
  ino_t failing = 0;  // The inode whose syncs fail; 0: of none.
  ino_t held = 0;     // The inode whose syncs do not end; 0: of none.
  bool is_held = false;
  std::condition_variable changed;
};
inline NotedSyncs& Notes() {
  static NotedSyncs notes;
  return notes;
}

}  // namespace atl

extern "C" int fsync(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return -1;
  {
    std::unique_lock lock(atl::Notes().mutex);
    if (atl::Notes().failing == info.st_ino) {
      errno = EIO;
      return -1;
    }
    while (atl::Notes().held == info.st_ino) {
      atl::Notes().is_held = true;
      atl::Notes().changed.notify_all();
      atl::Notes().changed.wait(lock);
    }
    atl::Notes().synced.insert(info.st_ino);
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace atl {

inline ino_t InodeOf(const std::filesystem::path& path) {
  struct stat info{};
  CHECK(lstat(path.c_str(), &info) == 0) << path.string();
  return info.st_ino;
}

inline void ForgetSyncs() {
  const std::lock_guard lock(Notes().mutex);
  Notes().synced.clear();
}
inline bool WasSynced(const std::filesystem::path& path) {
  const ino_t inode = InodeOf(path);
  const std::lock_guard lock(Notes().mutex);
  return Notes().synced.contains(inode);
}
inline void FailSyncsOf(ino_t inode) {
  const std::lock_guard lock(Notes().mutex);
  Notes().failing = inode;
}
// Until it is called with 0.
inline void HoldSyncsOf(ino_t inode) {
  const std::lock_guard lock(Notes().mutex);
  Notes().held = inode;
  Notes().is_held = false;
  Notes().changed.notify_all();
}
inline bool IsHeld() {
  const std::lock_guard lock(Notes().mutex);
  return Notes().is_held;
}

}  // namespace atl
