// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/direct_io.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "xseg/base/check.h"

namespace atl {
namespace {

constexpr uint64_t Down(uint64_t value) { return value / kDirectBlock * kDirectBlock; }
constexpr uint64_t Up(uint64_t value) { return Down(value + kDirectBlock - 1); }

class Bounce {
 public:
  explicit Bounce(size_t bytes)
      : bytes_(bytes),
        memory_(static_cast<std::byte*>(std::aligned_alloc(kDirectBlock, bytes)), std::free) {
    CHECK(memory_) << "no memory";
  }
  MutSpan span() const { return {memory_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
};

// Whole blocks into aligned memory. What lies behind the end of the file is zero; `*got` says where
// that is. Less than was asked for is the end only if it is the same when it is asked for again.
Task<int> ReadBlocks(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got,
                     sys::Site site) {
  *got = 0;
  for (size_t end_seen = 0; *got < out.size();) {
    const int count =
        co_await sys::Read(context.ring(), fd, out.subspan(*got), offset + *got, site);
    if (count == -EINTR || count == -EAGAIN) continue;
    if (count < 0) co_return -count;
    const size_t end = *got + static_cast<size_t>(count);
    const bool is_whole = count > 0 && end % kDirectBlock == 0;
    *got = is_whole || end == end_seen ? end : Down(end);
    if (count == 0 || end == end_seen) break;
    if (!is_whole) end_seen = end;
  }
  if (*got < out.size()) std::memset(out.data() + *got, 0, out.size() - *got);
  co_return 0;
}

Task<int> WriteBlocks(FileContext& context, int fd, uint64_t offset, ConstSpan data, bool data_sync,
                      size_t* done, sys::Site site) {
  constexpr int kMostShortWrites = 3;  // In a row, of less than a block.
  const int flags = data_sync ? RWF_DSYNC : 0;
  int short_writes = 0;
  *done = 0;
  while (*done < data.size()) {
    const int put =
        co_await sys::Write(context.ring(), fd, data.subspan(*done), offset + *done, flags, site);
    if (put == -EINTR || put == -EAGAIN) continue;
    if (put < 0) co_return -put;
    if (put == 0) co_return EIO;
    // A part of a block is written again, with the rest of it.
    *done = Down(*done + static_cast<size_t>(put));
    short_writes = static_cast<size_t>(put) < kDirectBlock ? short_writes + 1 : 0;
    if (short_writes == kMostShortWrites) co_return EIO;
  }
  co_return 0;
}

// The blocks around [offset, offset + data.size()): filled with what the file has at both ends,
// where those are not covered, and with `data`.
Task<int> Complete(FileContext& context, int fd, uint64_t offset, ConstSpan data, MutSpan blocks,
                   sys::Site site) {
  const uint64_t first = Down(offset), end = offset + data.size(), last = Down(end);
  size_t got = 0;
  if (first != offset || end < first + kDirectBlock) {
    const int error =
        co_await ReadBlocks(context, fd, first, blocks.first(kDirectBlock), &got, site);
    if (error != 0) co_return error;
  }
  if (last != end && last != first) {
    const int error = co_await ReadBlocks(context, fd, last,
                                          blocks.subspan(last - first, kDirectBlock), &got, site);
    if (error != 0) co_return error;
  }
  std::memcpy(blocks.data() + (offset - first), data.data(), data.size());
  co_return 0;
}

}  // namespace

bool IsDirect(uint64_t offset, ConstSpan memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return offset % kDirectBlock == 0 && memory.size() % kDirectBlock == 0 &&
         address % kDirectBlock == 0;
}

Task<int> ReadDirect(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got,
                     sys::Site site) {
  if (IsDirect(offset, out)) co_return co_await ReadBlocks(context, fd, offset, out, got, site);
  const Bounce bounce(std::min<uint64_t>(Up(offset + out.size()) - Down(offset), kDirectBounce));
  *got = 0;
  for (size_t done = 0; done < out.size();) {
    const uint64_t at = offset + done, first = Down(at);
    const size_t blocks = std::min<uint64_t>(Up(offset + out.size()) - first, kDirectBounce);
    size_t there = 0;
    const int error =
        co_await ReadBlocks(context, fd, first, bounce.span().first(blocks), &there, site);
    if (error != 0) co_return error;
    const size_t skip = at - first, part = std::min(blocks - skip, out.size() - done);
    std::memcpy(out.data() + done, bounce.span().data() + skip, part);
    *got += there > skip ? std::min(there - skip, part) : 0;
    done += part;
  }
  co_return 0;
}

Task<int> WriteDirect(FileContext& context, Mutex& edges, int fd, uint64_t offset, ConstSpan data,
                      bool data_sync, size_t* done, sys::Site site) {
  if (IsDirect(offset, data)) {
    co_return co_await WriteBlocks(context, fd, offset, data, data_sync, done, site);
  }
  const bool whole = offset % kDirectBlock == 0 && data.size() % kDirectBlock == 0;
  const auto guard = whole ? Mutex::Guard(nullptr) : co_await edges.Lock();
  const Bounce bounce(std::min<uint64_t>(Up(offset + data.size()) - Down(offset), kDirectBounce));
  while (*done < data.size()) {
    const uint64_t at = offset + *done, first = Down(at);
    const size_t skip = at - first, part = std::min(kDirectBounce - skip, data.size() - *done);
    const MutSpan blocks = bounce.span().first(Up(at + part) - first);
    int error = co_await Complete(context, fd, at, data.subspan(*done, part), blocks, site);
    if (error != 0) co_return error;
    size_t put = 0;
    error = co_await WriteBlocks(context, fd, first, blocks, data_sync, &put, site);
    *done += put > skip ? std::min(put - skip, part) : 0;
    if (error != 0) co_return error;
  }
  co_return 0;
}

}  // namespace atl
