// SPDX-License-Identifier: Apache-2.0
//
// What the parts of a file store share: its directories, what its file system can do, and the count
// of operations that are under way.
//
// Threads: the executor's, but for `reserve` and the directories, which offloaded functions use.
#pragma once

#include <string>

#include "peers/store/file/posix.h"
#include "peers/store/file/space_reserve.h"
#include "peers/store/store.h"
#include "peers/store/witness_box.h"
#include "xseg/base/executor.h"
#include "xseg/base/sync.h"

namespace atl {

struct FileContext {
  explicit FileContext(Executor& executor) : executor(executor) {}

  Executor& executor;
  std::string name;
  Dir root, blobs, logs, tmp;
  Capabilities can;
  SpaceReserve reserve;
  size_t max_open_files = 0;
  bool direct = false;              // Blobs are read and written past the page cache.
  WitnessBox* witnesses = nullptr;  // Null: nobody takes this process's place when it dies.
  bool lacks_witnesses = false;     // It was told that some could not be kept.

  bool closed = false;
  uint64_t running = 0;
  Signal idle;

  void SettleWitnesses() {
    if (witnesses != nullptr) (void)witnesses->Settle();  // What stays is tried again.
  }
  IoRing& ring() { return executor.ring(); }
  Status Alive() const {
    if (!closed) [[likely]]
      return {};
    return {Code::kUnavailable, name + ": closed"};
  }
};

// Counts one operation while it lives.
class Running {
 public:
  explicit Running(FileContext& context) : context_(context) { ++context_.running; }
  ~Running() {
    if (--context_.running == 0) context_.idle.NotifyAll();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  FileContext& context_;
};

// Buffered writes up to this size are one system call on the executor's thread: it copies into the
// page cache, which costs less than the two thread switches that the ring needs for the same
// (16 KiB: about 3 us against 12 us). Larger ones would hold up everybody else's requests.
inline constexpr size_t kInlineWrite = 64 * kKiB;

// A buffered write makes folios of the page cache as large as it is itself, and ext4 goes over all
// 4 KiB blocks of a folio for each small write to it later: 4 KiB into 1 MiB cost ten times as much
// as into 16 KiB. So what is written is cut up, unless the pages are there already: then they stay
// as they are.
inline constexpr size_t kCachedWrite = 16 * kKiB;
// Of a long write, how much is written before others have their turn.
inline constexpr size_t kWriteTurn = 128 * kKiB;

// How an adopt asks again for what another instance holds.
inline constexpr int64_t kFirstAdoptPauseNs = kMillisecond;
inline constexpr int64_t kLastAdoptPauseNs = 50 * kMillisecond;

// Of a failed change: EPERM is what a sealed file answers.
Status ChangeError(int posix_errno, std::string_view call, const std::string& path);

// Copies as much of `data` into the page cache as a few system calls take, at most kWriteTurn.
// Returns the bytes, or a negative errno if there are none.
ssize_t WriteCached(int fd, uint64_t offset, ConstSpan data, sys::Site site = sys::Site::current());
// Writes all of `data` through `fd`, inline or by the ring. Returns 0 or an errno; `*done` counts
// the bytes that were stored.
Task<int> WriteFully(FileContext& context, int fd, uint64_t offset, ConstSpan data, bool data_sync,
                     size_t* done, sys::Site site = sys::Site::current());
// Fills `out`, with zeros behind the end of the file. Returns 0 or an errno; `*got` counts the
// bytes before the end.
Task<int> ReadFully(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got,
                    sys::Site site = sys::Site::current());
// The data of the file, and its size, are durable. Returns 0 or an errno.
Task<int> SyncData(FileContext& context, int fd, sys::Site site = sys::Site::current());

}  // namespace atl
