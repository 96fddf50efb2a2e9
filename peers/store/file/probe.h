// SPDX-License-Identifier: Apache-2.0
//
// What the file system below a store can do, found by trying it in the store's tmp/ directory.
#pragma once

#include "peers/store/file/posix.h"
#include "peers/store/store.h"

namespace atl {

struct FileSystemFacts {
  Capabilities capabilities;
  CacheIdentity cache;
  std::string type;    // "ext4", "xfs", ..., or a number.
  bool local = false;  // Locks and page cache are this host's alone.
};

Result<FileSystemFacts> ProbeFileSystem(const Dir& tmp);
// kUnsupported where files cannot be read and written past the page cache.
Status ProbeDirect(const Dir& tmp, const Capabilities& can);

// The flag that stops every writer, also those that have the file open. Needs CAP_LINUX_IMMUTABLE.
Status SetImmutable(int fd, bool on, const std::string& path);
bool IsImmutable(int fd);

}  // namespace atl
