// SPDX-License-Identifier: Apache-2.0
//
// The system calls of the file driver: each one that touches the store is made here and nowhere
// else in this folder (tests/tidy sees to that). They answer as the calls of that name do, -1 and
// errno, or through the ring a count or a negative errno; a call that a signal has interrupted is
// made again, but for those through the ring, where that is for who awaits them.
//
// This is the driver's one seam to the machine. A test may install a Watcher, which sees each call
// before it is made and after it, and may answer it instead: so it records what a crash could cut
// off, or fails each place that makes a call ("site") in turn. See docs/crash-exploration.md. Where
// none is installed, as in every program, the seam costs a look at a null pointer.
//
// A site is the place that wanted the call. So helpers that make calls for others (posix.h) take
// the site of their caller as their last parameter, which nobody ever writes out.
//
// Threads: any; so are the threads of a Watcher.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>

#include "xseg/base/bytes.h"
#include "xseg/base/io_ring.h"
#include "xseg/base/units.h"

struct fiemap;

namespace atl::sys {

using Site = std::source_location;

enum class Op : uint8_t {
  // Of names.
  kOpen,
  kMakeDir,
  kLink,
  kUnlink,
  kRename,
  // Of contents.
  kWrite,
  kAllocate,
  kTruncate,
  kCopy,
  kSetFlags,
  kSync,
  // Of nothing: these change nothing that outlives the process.
  kRead,
  kSeek,
  kExtents,
  kStat,
  kAccess,
  kList,
  kLock,
  kGetFlags,
  kAwait,
  kMap,
  kSetDirect,
};
inline constexpr size_t kOps = static_cast<size_t>(Op::kSetDirect) + 1;
std::string_view NameOf(Op op);

struct Call {
  Op op;
  Site site;
  int fd = -1;                 // Of the thing, or of the directory in which `name` is.
  const char* name = nullptr;  // Null: the thing is the descriptor's own.
  int flags = 0;               // Of open and unlink, of a write RWF_*, of allocate the mode.
  uint64_t offset = 0;
  uint64_t length = 0;              // Of a read, write or copy, which may be made shorter.
  const std::byte* data = nullptr;  // What is written.
  int to_fd = -1;                   // Of copy, link and rename: where to.
  const char* to_name = nullptr;
  uint64_t tag = 0;  // The watcher's own, from Before to After.
};

class Watcher {
 public:
  // A value: the call is not made, and this is its result, a count or a negative errno. Who makes
  // `call.length` smaller has the call made so short.
  virtual std::optional<int64_t> Before(Call& call) = 0;
  // Of each call, whoever answered it.
  virtual void After(const Call& call, int64_t result) = 0;

 protected:
  ~Watcher() = default;
};

namespace internal {
// Set while nobody makes calls, so whatever hands work to the threads that do has ordered it.
inline std::atomic<Watcher*> watcher{nullptr};
}  // namespace internal

inline Watcher* Installed() { return internal::watcher.load(std::memory_order_relaxed); }

// Installs a watcher while it lives. There is one for the whole process, as there is one kernel;
// the driver makes no call when it comes and none when it goes.
class Watch {
 public:
  explicit Watch(Watcher* watcher) { internal::watcher.store(watcher); }
  ~Watch() { internal::watcher.store(nullptr); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

int Open(const char* path, int flags, Site site = Site::current());
int OpenAt(int dir, const char* name, int flags, mode_t mode = 0, Site site = Site::current());
int MakeDir(const char* path, mode_t mode, Site site = Site::current());
int MakeDirAt(int dir, const char* name, mode_t mode, Site site = Site::current());
int LinkAt(int from, const char* name, int to, const char* to_name, Site site = Site::current());
int UnlinkAt(int dir, const char* name, int flags, Site site = Site::current());
int RenameAt(int from, const char* name, int to, const char* to_name, Site site = Site::current());

ssize_t Pwrite(int fd, ConstSpan data, uint64_t offset, Site site = Site::current());
int Fallocate(int fd, int mode, ByteRange range, Site site = Site::current());
int Ftruncate(int fd, uint64_t size, Site site = Site::current());
// Of one range, to the same place in the other file.
ssize_t CopyFileRange(int from, int to, ByteRange range, Site site = Site::current());
int SetFlags(int fd, int flags, Site site = Site::current());
int Fsync(int fd, Site site = Site::current());

// Until what is being written back has been; fails if bytes could not be since the description was
// opened, and was not told so before.
int AwaitWriteback(int fd, Site site = Site::current());

ssize_t Pread(int fd, MutSpan out, uint64_t offset, Site site = Site::current());
// Only what the page cache has; EAGAIN where it has nothing.
ssize_t PreadCached(int fd, MutSpan out, uint64_t offset, Site site = Site::current());
// The file, for reading, shared; MAP_FAILED if that cannot be.
void* Map(int fd, uint64_t length, Site site = Site::current());
// How many pages of the range the page cache has; -1 also where the kernel cannot say (before 6.5).
int64_t CountCached(int fd, ByteRange range, Site site = Site::current());
// Which pages of what is mapped are in memory: the lowest bit of each byte.
int Resident(void* mapped, uint64_t length, unsigned char* pages, Site site = Site::current());
off_t Lseek(int fd, uint64_t offset, int whence, Site site = Site::current());
int Fiemap(int fd, fiemap* map, Site site = Site::current());
int Fstat(int fd, struct stat* info, Site site = Site::current());
int FstatAt(int dir, const char* name, struct stat* info, Site site = Site::current());
int Fstatfs(int fd, struct statfs* info, Site site = Site::current());
int Fstatvfs(int fd, struct statvfs* info, Site site = Site::current());
int Statx(int fd, unsigned mask, struct statx* info, Site site = Site::current());
int AccessAt(int dir, const char* name, Site site = Site::current());
// Null: the end, or an error, which errno tells (else 0).
const dirent* ReadDir(DIR* stream, Site site = Site::current());
int SetLock(int fd, struct flock* lock, Site site = Site::current());
int GetFlags(int fd, int* flags, Site site = Site::current());
// From now on what is read and written through this description goes past the page cache.
int SetDirect(int fd, Site site = Site::current());

// What the watcher, if there is one, says to a call through the ring.
class Asked {
 public:
  explicit Asked(const Call& call) : watcher_(Installed()), length_(call.length) {
    if (watcher_ == nullptr) [[likely]]
      return;
    call_ = call;
    answer_ = watcher_->Before(*call_);
    length_ = call_->length;
  }
  uint64_t length() const { return length_; }
  bool answered() const { return answer_.has_value(); }
  int End(int result) const {
    if (watcher_ == nullptr) [[likely]]
      return result;
    if (answer_) result = static_cast<int>(*answer_);
    watcher_->After(*call_, result);
    return result;
  }

 private:
  Watcher* watcher_;
  uint64_t length_;
  std::optional<Call> call_;
  std::optional<int64_t> answer_;
};

template <typename Operation>
struct Awaited {
  Operation operation;
  Asked asked;
  bool await_ready() const noexcept { return asked.answered(); }
  void await_suspend(std::coroutine_handle<> handle) { operation.await_suspend(handle); }
  int await_resume() const { return asked.End(operation.await_resume()); }
};
template <typename Operation>
Awaited(Operation, Asked) -> Awaited<Operation>;

inline auto Read(IoRing& ring, int fd, MutSpan out, uint64_t offset, Site site = Site::current()) {
  const Asked asked(
      {.op = Op::kRead, .site = site, .fd = fd, .offset = offset, .length = out.size()});
  return Awaited{ring.Read(fd, out.first(asked.length()), offset), asked};
}
// `rw_flags` as of pwritev2.
inline auto Write(IoRing& ring, int fd, ConstSpan data, uint64_t offset, int rw_flags,
                  Site site = Site::current()) {
  const Asked asked({.op = Op::kWrite,
                     .site = site,
                     .fd = fd,
                     .flags = rw_flags,
                     .offset = offset,
                     .length = data.size(),
                     .data = data.data()});
  return Awaited{ring.Write(fd, data.first(asked.length()), offset, rw_flags), asked};
}
// The data, and the size that leads to it.
inline auto Fdatasync(IoRing& ring, int fd, Site site = Site::current()) {
  const Asked asked({.op = Op::kSync, .site = site, .fd = fd});
  return Awaited{ring.Fsync(fd, IORING_FSYNC_DATASYNC), asked};
}
inline auto Fallocate(IoRing& ring, int fd, int mode, ByteRange range,
                      Site site = Site::current()) {
  const Asked asked({.op = Op::kAllocate,
                     .site = site,
                     .fd = fd,
                     .flags = mode,
                     .offset = range.offset,
                     .length = range.length});
  return Awaited{ring.Fallocate(fd, mode, range), asked};
}

}  // namespace atl::sys
