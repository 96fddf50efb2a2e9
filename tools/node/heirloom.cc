// SPDX-License-Identifier: Apache-2.0
#include "tools/node/heirloom.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace atl {

Result<Fd> MakeHeirloomFile(const Heirloom& heirloom) {
  Fd fd(memfd_create("atoll-heirloom", MFD_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, "memfd_create");
  // One message each: a list of the wire has a limit, and this one has none.
  Encoder out;
  for (const Holding& holding : heirloom.holdings) EncodeTo(&out, holding);
  const Bytes bytes = out.Take();
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t put = write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (put < 0) return Status::FromErrno(errno, "write a memory file");
    done += static_cast<size_t>(put);
  }
  return fd;
}

Result<Heirloom> ReadHeirloomFile(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Status::FromErrno(errno, "fstat of what was handed over");
  Bytes bytes(static_cast<size_t>(info.st_size));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got =
        pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got <= 0) return Status::FromErrno(got < 0 ? errno : EIO, "read what was handed over");
    done += static_cast<size_t>(got);
  }
  Heirloom heirloom;
  Decoder in(bytes);
  WireReader reader(&in);
  while (in.ok() && !in.done()) reader(heirloom.holdings.emplace_back());
  if (!in.ok()) return Status(Code::kCorrupt, "what was handed over makes no sense");
  return heirloom;
}

}  // namespace atl
