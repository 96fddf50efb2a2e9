// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/sys.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace atl::sys {
namespace {

// `make(length)` makes the call.
template <typename Make>
auto DoWatched(Watcher* watcher, Call call, Make make) -> decltype(make(uint64_t{})) {
  using Result = decltype(make(uint64_t{}));
  const std::optional<int64_t> answer = watcher->Before(call);
  Result result = -1;
  if (!answer) {
    result = make(call.length);
  } else if (*answer >= 0) {
    result = static_cast<Result>(*answer);
  } else {
    errno = static_cast<int>(-*answer);
  }
  const int error = errno;
  watcher->After(call, result < 0 ? -int64_t{error} : static_cast<int64_t>(result));
  errno = error;
  return result;
}

template <typename Make>
auto Do(const Call& call, Make make) -> decltype(make(uint64_t{})) {
  while (true) {
    Watcher* const watcher = Installed();
    const auto result = watcher == nullptr ? make(call.length) : DoWatched(watcher, call, make);
    if (result >= 0 || errno != EINTR) return result;
  }
}

off_t Off(uint64_t offset) { return static_cast<off_t>(offset); }

}  // namespace

std::string_view NameOf(Op op) {
  static constexpr std::string_view kNames[kOps] = {
      "open", "mkdir",     "link",      "unlink", "rename", "write",     "allocate", "truncate",
      "copy", "set-flags", "sync",      "read",   "seek",   "extents",   "stat",     "access",
      "list", "lock",      "get-flags", "await",  "map",    "set-direct"};
  return kNames[static_cast<size_t>(op)];
}

// --- Names ---------------------------------------------------------------------------------------

int Open(const char* path, int flags, Site site) { return OpenAt(AT_FDCWD, path, flags, 0, site); }

int OpenAt(int dir, const char* name, int flags, mode_t mode, Site site) {
  return Do({.op = Op::kOpen, .site = site, .fd = dir, .name = name, .flags = flags},
            [&](uint64_t) { return openat(dir, name, flags, mode); });
}

int MakeDir(const char* path, mode_t mode, Site site) {
  return MakeDirAt(AT_FDCWD, path, mode, site);
}

int MakeDirAt(int dir, const char* name, mode_t mode, Site site) {
  return Do({.op = Op::kMakeDir, .site = site, .fd = dir, .name = name},
            [&](uint64_t) { return mkdirat(dir, name, mode); });
}

int LinkAt(int from, const char* name, int to, const char* to_name, Site site) {
  const Call call{
      .op = Op::kLink, .site = site, .fd = from, .name = name, .to_fd = to, .to_name = to_name};
  return Do(call, [&](uint64_t) { return linkat(from, name, to, to_name, 0); });
}

int UnlinkAt(int dir, const char* name, int flags, Site site) {
  return Do({.op = Op::kUnlink, .site = site, .fd = dir, .name = name, .flags = flags},
            [&](uint64_t) { return unlinkat(dir, name, flags); });
}

int RenameAt(int from, const char* name, int to, const char* to_name, Site site) {
  const Call call{
      .op = Op::kRename, .site = site, .fd = from, .name = name, .to_fd = to, .to_name = to_name};
  return Do(call, [&](uint64_t) { return renameat(from, name, to, to_name); });
}

// --- Contents ------------------------------------------------------------------------------------

ssize_t Pwrite(int fd, ConstSpan data, uint64_t offset, Site site) {
  const Call call{.op = Op::kWrite,
                  .site = site,
                  .fd = fd,
                  .offset = offset,
                  .length = data.size(),
                  .data = data.data()};
  return Do(call, [&](uint64_t length) { return pwrite(fd, data.data(), length, Off(offset)); });
}

int Fallocate(int fd, int mode, ByteRange range, Site site) {
  const Call call{.op = Op::kAllocate,
                  .site = site,
                  .fd = fd,
                  .flags = mode,
                  .offset = range.offset,
                  .length = range.length};
  return Do(call,
            [&](uint64_t) { return fallocate(fd, mode, Off(range.offset), Off(range.length)); });
}

int Ftruncate(int fd, uint64_t size, Site site) {
  return Do({.op = Op::kTruncate, .site = site, .fd = fd, .offset = size},
            [&](uint64_t) { return ftruncate(fd, Off(size)); });
}

ssize_t CopyFileRange(int from, int to, ByteRange range, Site site) {
  const Call call{.op = Op::kCopy,
                  .site = site,
                  .fd = from,
                  .offset = range.offset,
                  .length = range.length,
                  .to_fd = to};
  return Do(call, [&](uint64_t length) {
    off_t in = Off(range.offset), out = in;
    return copy_file_range(from, &in, to, &out, length, 0);
  });
}

int SetFlags(int fd, int flags, Site site) {
  return Do({.op = Op::kSetFlags, .site = site, .fd = fd, .flags = flags},
            [&](uint64_t) { return ioctl(fd, FS_IOC_SETFLAGS, &flags); });
}

int Fsync(int fd, Site site) {
  return Do({.op = Op::kSync, .site = site, .fd = fd}, [&](uint64_t) { return fsync(fd); });
}

int AwaitWriteback(int fd, Site site) {
  return Do({.op = Op::kAwait, .site = site, .fd = fd},
            [&](uint64_t) { return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE); });
}

// --- Looking -------------------------------------------------------------------------------------

ssize_t Pread(int fd, MutSpan out, uint64_t offset, Site site) {
  const Call call{.op = Op::kRead, .site = site, .fd = fd, .offset = offset, .length = out.size()};
  return Do(call, [&](uint64_t length) { return pread(fd, out.data(), length, Off(offset)); });
}

ssize_t PreadCached(int fd, MutSpan out, uint64_t offset, Site site) {
  const Call call{.op = Op::kRead, .site = site, .fd = fd, .offset = offset, .length = out.size()};
  return Do(call, [&](uint64_t length) {
    const iovec vector{out.data(), length};
    return preadv2(fd, &vector, 1, Off(offset), RWF_NOWAIT);
  });
}

void* Map(int fd, uint64_t length, Site site) {
  void* mapped = MAP_FAILED;
  (void)Do({.op = Op::kMap, .site = site, .fd = fd, .length = length}, [&](uint64_t) {
    mapped = mmap(nullptr, length, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
    return mapped == MAP_FAILED ? -1 : 0;
  });
  return mapped;
}

int64_t CountCached(int fd, ByteRange range, Site site) {
  // cachestat(2), for which Debian 12 has neither a wrapper nor the structures.
  constexpr long kCachestat = 451;
  struct {
    uint64_t offset, length;
  } const wanted{range.offset, range.length};
  struct {
    uint64_t cached, dirty, in_writeback, evicted, recently_evicted;
  } found{};
  const int result =
      Do({.op = Op::kMap, .site = site, .fd = fd, .offset = range.offset, .length = range.length},
         [&](uint64_t) { return static_cast<int>(syscall(kCachestat, fd, &wanted, &found, 0)); });
  return result == 0 ? static_cast<int64_t>(found.cached) : -1;
}

int Resident(void* mapped, uint64_t length, unsigned char* pages, Site site) {
  return Do({.op = Op::kMap, .site = site, .length = length},
            [&](uint64_t) { return mincore(mapped, length, pages); });
}

off_t Lseek(int fd, uint64_t offset, int whence, Site site) {
  return Do({.op = Op::kSeek, .site = site, .fd = fd, .offset = offset},
            [&](uint64_t) { return lseek(fd, Off(offset), whence); });
}

int Fiemap(int fd, fiemap* map, Site site) {
  return Do({.op = Op::kExtents, .site = site, .fd = fd},
            [&](uint64_t) { return ioctl(fd, FS_IOC_FIEMAP, map); });
}

int Fstat(int fd, struct stat* info, Site site) {
  return Do({.op = Op::kStat, .site = site, .fd = fd}, [&](uint64_t) { return fstat(fd, info); });
}

int FstatAt(int dir, const char* name, struct stat* info, Site site) {
  return Do({.op = Op::kStat, .site = site, .fd = dir, .name = name},
            [&](uint64_t) { return fstatat(dir, name, info, AT_SYMLINK_NOFOLLOW); });
}

int Fstatfs(int fd, struct statfs* info, Site site) {
  return Do({.op = Op::kStat, .site = site, .fd = fd}, [&](uint64_t) { return fstatfs(fd, info); });
}

int Fstatvfs(int fd, struct statvfs* info, Site site) {
  return Do({.op = Op::kStat, .site = site, .fd = fd},
            [&](uint64_t) { return fstatvfs(fd, info); });
}

int Statx(int fd, unsigned mask, struct statx* info, Site site) {
  return Do({.op = Op::kStat, .site = site, .fd = fd},
            [&](uint64_t) { return statx(fd, "", AT_EMPTY_PATH, mask, info); });
}

int AccessAt(int dir, const char* name, Site site) {
  return Do({.op = Op::kAccess, .site = site, .fd = dir, .name = name},
            [&](uint64_t) { return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW); });
}

const dirent* ReadDir(DIR* stream, Site site) {
  const dirent* entry = nullptr;
  const int got = Do({.op = Op::kList, .site = site, .fd = dirfd(stream)}, [&](uint64_t) {
    errno = 0;
    entry = readdir(stream);
    if (entry != nullptr) return 1;
    return errno == 0 ? 0 : -1;
  });
  if (got == 0) errno = 0;
  return got == 1 ? entry : nullptr;
}

int SetLock(int fd, struct flock* lock, Site site) {
  return Do({.op = Op::kLock, .site = site, .fd = fd},
            [&](uint64_t) { return fcntl(fd, F_OFD_SETLK, lock); });
}

int GetFlags(int fd, int* flags, Site site) {
  return Do({.op = Op::kGetFlags, .site = site, .fd = fd},
            [&](uint64_t) { return ioctl(fd, FS_IOC_GETFLAGS, flags); });
}

int SetDirect(int fd, Site site) {
  return Do({.op = Op::kSetDirect, .site = site, .fd = fd}, [&](uint64_t) {
    const int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_DIRECT);
  });
}

}  // namespace atl::sys
