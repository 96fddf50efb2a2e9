// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/context.h"

#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace atl {

Status ChangeError(int posix_errno, std::string_view call, const std::string& path) {
  if (posix_errno == EPERM) return {Code::kFenced, path + " is sealed"};
  return PosixError(posix_errno, call, path);
}

Task<int> WriteFully(FileContext& context, int fd, uint64_t offset, ConstSpan data, bool data_sync,
                     size_t* done) {
  const bool inlined = !data_sync && data.size() <= kInlineWrite;
  while (*done < data.size()) {
    const ConstSpan rest = data.subspan(*done);
    const uint64_t at = offset + *done;
    ssize_t put;
    if (inlined) {
      put = pwrite(fd, rest.data(), rest.size(), static_cast<off_t>(at));
      if (put < 0) put = -errno;
    } else {
      put = co_await context.ring().Write(fd, rest, at, data_sync ? RWF_DSYNC : 0);
    }
    if (put == -EINTR || put == -EAGAIN) continue;
    if (put < 0) co_return static_cast<int>(-put);
    if (put == 0) co_return EIO;
    *done += static_cast<size_t>(put);
  }
  co_return 0;
}

Task<int> ReadFully(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got) {
  bool cached = true;  // As long as the page cache has it, no thread and no ring is needed.
  while (*got < out.size()) {
    const MutSpan rest = out.subspan(*got);
    const uint64_t at = offset + *got;
    ssize_t count;
    if (cached) {
      const iovec vector{rest.data(), rest.size()};
      count = preadv2(fd, &vector, 1, static_cast<off_t>(at), RWF_NOWAIT);
      if (count < 0) {
        cached = false;
        continue;
      }
    } else {
      count = co_await context.ring().Read(fd, rest, at);
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

}  // namespace atl
