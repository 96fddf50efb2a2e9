// SPDX-License-Identifier: Apache-2.0
//
// Plain, blocking system calls with a Status that names the path. Symbolic links are never
// followed, descriptors never inherited.
//
// A `Dir` is a descriptor of a directory together with its path, which is for messages only:
// everything is opened relative to the descriptor.
//
// The last parameter, the site, is who asks (sys.h).
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "peers/store/file/sys.h"
#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

struct Dir {
  Fd fd;
  std::string path;

  int get() const { return fd.get(); }
  std::string PathOf(std::string_view name) const;
};

// Status of the errno of a call on `path`, worded "CALL PATH: reason".
Status PosixError(int posix_errno, std::string_view call, const std::string& path);

Result<Dir> OpenDir(const std::string& path, sys::Site site = sys::Site::current());
Result<Dir> OpenDirAt(const Dir& parent, const std::string& name,
                      sys::Site site = sys::Site::current());
// Makes the directory if it is absent.
Result<Dir> MakeDirAt(const Dir& parent, const std::string& name,
                      sys::Site site = sys::Site::current());
// `flags` without O_CLOEXEC and O_NOFOLLOW, which are added. A name that is no regular file is
// kCorrupt.
Result<Fd> OpenFileAt(const Dir& parent, const std::string& name, int flags, mode_t mode = 0640,
                      sys::Site site = sys::Site::current());

Result<std::vector<std::string>> ListNames(const Dir& dir, sys::Site site = sys::Site::current());
// True for what belongs to nobody here: ".", "..", and what NFS leaves of removed files.
bool IsIgnoredName(std::string_view name);

// All of `data`, at `offset`.
Status WriteAllAt(int fd, uint64_t offset, ConstSpan data, const std::string& path,
                  sys::Site site = sys::Site::current());
// The whole file; kCorrupt if it is longer than `limit`.
Result<Bytes> ReadWhole(int fd, size_t limit, const std::string& path,
                        sys::Site site = sys::Site::current());

Status SyncFile(int fd, const std::string& path, sys::Site site = sys::Site::current());
inline Status SyncDir(const Dir& dir, sys::Site site = sys::Site::current()) {
  return SyncFile(dir.get(), dir.path, site);
}

// ok also if the name is absent already.
Status UnlinkAt(const Dir& parent, const std::string& name, sys::Site site = sys::Site::current());
Result<bool> ExistsAt(const Dir& parent, const std::string& name,
                      sys::Site site = sys::Site::current());
// False as well if either is gone.
bool SameFile(int fd, const Dir& parent, const std::string& name,
              sys::Site site = sys::Site::current());

// Takes the write lock on the whole file for the open description behind `fd`. False: somebody
// else, which may be a request of a dead process that is still in flight, has it.
Result<bool> TryLock(int fd, const std::string& path, sys::Site site = sys::Site::current());

// A fresh file in `parent` under a name that nobody else uses, locked, so that Sweep can tell that
// its maker lives.
struct TempFile {
  Fd fd;
  std::string name;
};
Result<TempFile> MakeTempAt(const Dir& parent, sys::Site site = sys::Site::current());
inline constexpr std::string_view kTempPrefix = "t.";

// 32 hex digits of the kernel's randomness.
std::string RandomHex();

}  // namespace atl
