// SPDX-License-Identifier: Apache-2.0
//
// How many syncs the file driver makes, and for how long at least one of them is under way: the
// part of an operation that is the disk's. It sees all stores of the process.
//
// Threads: any; the driver syncs in several at once.
#pragma once

#include <time.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "peers/store/file/sys.h"
#include "xseg/base/units.h"

namespace atl::core_bench {

class SyncWatch final : public sys::Watcher {
 public:
  struct Seen {
    uint64_t syncs = 0;
    int64_t ns = 0;
  };

  SyncWatch() : watch_(this) {}

  // Since the last Take.
  Seen Take() {
    std::lock_guard lock(mutex_);
    const int64_t now_ns = NowNs();
    if (under_way_ > 0) seen_.ns += now_ns - std::exchange(began_ns_, now_ns);
    return std::exchange(seen_, {});
  }

  std::optional<int64_t> Before(sys::Call& call) override {
    if (call.op != sys::Op::kSync) return std::nullopt;
    std::lock_guard lock(mutex_);
    ++seen_.syncs;
    if (under_way_++ == 0) began_ns_ = NowNs();
    return std::nullopt;
  }
  void After(const sys::Call& call, int64_t) override {
    if (call.op != sys::Op::kSync) return;
    std::lock_guard lock(mutex_);
    if (--under_way_ == 0) seen_.ns += NowNs() - began_ns_;
  }

 private:
  static int64_t NowNs() {
    timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }

  std::mutex mutex_;
  Seen seen_;
  int under_way_ = 0;
  int64_t began_ns_ = 0;
  sys::Watch watch_;  // Last: what it installs is whole then.
};

}  // namespace atl::core_bench
