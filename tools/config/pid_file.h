// SPDX-License-Identifier: Apache-2.0
//
// At most one daemon runs on a state folder: the one that holds the record lock of its pid file.
// The lock, not the number in the file, is the truth: the kernel drops it when the process ends,
// does not hand it to children, and tells others who holds it.
//
// A process loses such a lock when it closes any descriptor of the file, so a daemon opens its pid
// file once, here.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

class PidFile {
 public:
  // kBusy, with its pid, if another process holds it.
  static Result<PidFile> Acquire(const std::string& path);
  PidFile(PidFile&&) = default;
  ~PidFile();

  // The process that holds it now, if any; for other processes than the holder. kPermission for
  // users who may not look.
  static Result<std::optional<pid_t>> HolderOf(const std::string& path);

 private:
  explicit PidFile(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace atl
