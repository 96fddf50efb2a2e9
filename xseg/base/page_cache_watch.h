// SPDX-License-Identifier: Apache-2.0
//
// Whether the page cache has given anything up lately, of any file: the kernel counts what it takes
// away when memory is short, and what somebody has dropped by hand. As long as it has not, what was
// there once is there still, and nobody has to ask page by page.
//
// It says nothing of what is cut off or punched out of a file, nor of posix_fadvise; pages that are
// mapped and touched stay anyway.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "xseg/base/fd.h"

namespace atl {

class PageCacheWatch {
 public:
  // How old an answer may be. What is given up meanwhile is noticed by the next.
  static constexpr int64_t kAskMs = 1000;

  // A file like /proc/vmstat.
  explicit PageCacheWatch(const std::string& path = "/proc/vmstat");

  // Whether nothing was given up between `since_ms` and, but for the last second, `now_ms`. False
  // where the kernel does not count it (before 5.9).
  bool HasKept(int64_t since_ms, int64_t now_ms);

 private:
  std::optional<uint64_t> Count() const;

  Fd fd_;
  std::optional<uint64_t> given_up_;
  int64_t asked_ms_ = 0;
  int64_t kept_since_ms_ = 0;
  bool asked_ = false;
};

}  // namespace atl
