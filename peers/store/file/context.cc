// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/context.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace atl {

Status ChangeError(int posix_errno, std::string_view call, const std::string& path) {
  if (posix_errno == EPERM) return {Code::kFenced, path + " is sealed"};
  return PosixError(posix_errno, call, path);
}

namespace {

bool IsCached(int fd, ByteRange range, sys::Site site) {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  static std::atomic<bool> can_tell = true;
  if (!can_tell.load(std::memory_order_relaxed)) return false;
  const int64_t cached = sys::CountCached(fd, range, site);
  if (cached < 0 && errno == ENOSYS) can_tell.store(false, std::memory_order_relaxed);
  const uint64_t pages = (range.end() + page - 1) / page - range.offset / page;
  return cached == static_cast<int64_t>(pages);
}

}  // namespace

ssize_t WriteCached(int fd, uint64_t offset, ConstSpan data, sys::Site site) {
  data = data.first(std::min(data.size(), kWriteTurn));
  const bool at_once = data.size() > kCachedWrite && IsCached(fd, {offset, data.size()}, site);
  ssize_t done = 0;
  while (static_cast<size_t>(done) < data.size()) {
    const ConstSpan rest = data.subspan(static_cast<size_t>(done));
    // Up to the next multiple of kCachedWrite, which is where such a folio ends.
    const uint64_t at = offset + static_cast<uint64_t>(done);
    const size_t piece =
        at_once ? rest.size() : std::min<size_t>(rest.size(), kCachedWrite - at % kCachedWrite);
    const ssize_t put = sys::Pwrite(fd, rest.first(piece), at, site);
    if (put < 0 && done == 0) return -errno;
    if (put <= 0) break;
    done += put;
  }
  return done;
}

Task<int> WriteFully(FileContext& context, int fd, uint64_t offset, ConstSpan data, bool data_sync,
                     size_t* done, sys::Site site) {
  while (*done < data.size()) {
    const ConstSpan rest = data.subspan(*done);
    const uint64_t at = offset + *done;
    ssize_t put;
    if (!data_sync) {
      if (*done > 0) co_await Yield{};
      put = WriteCached(fd, at, rest, site);
    } else {
      put = co_await sys::Write(context.ring(), fd, rest, at, data_sync ? RWF_DSYNC : 0, site);
    }
    if (put == -EINTR || put == -EAGAIN) continue;
    if (put < 0) co_return static_cast<int>(-put);
    if (put == 0) co_return EIO;
    *done += static_cast<size_t>(put);
  }
  co_return 0;
}

Task<int> ReadFully(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got,
                    sys::Site site) {
  bool cached = true;  // As long as the page cache has it, no thread and no ring is needed.
  while (*got < out.size()) {
    const MutSpan rest = out.subspan(*got);
    const uint64_t at = offset + *got;
    ssize_t count;
    if (cached) {
      count = sys::PreadCached(fd, rest, at, site);
      if (count < 0) {
        cached = false;
        continue;
      }
    } else {
      count = co_await sys::Read(context.ring(), fd, rest, at, site);
    }
    if (count == -EINTR || count == -EAGAIN) continue;
    if (count < 0) co_return static_cast<int>(-count);
    if (count == 0) break;
    *got += static_cast<size_t>(count);
  }
  // Buffers pass from tenant to tenant: what the file does not have is zeroed.
  if (*got < out.size()) std::memset(out.data() + *got, 0, out.size() - *got);
  co_return 0;
}

Task<int> SyncData(FileContext& context, int fd, sys::Site site) {
  while (true) {
    // Only what says that nothing was done: any other error may be what the kernel tells once.
    const int result = co_await sys::Fdatasync(context.ring(), fd, site);
    if (result != -EINTR) co_return -result;
  }
}

}  // namespace atl
