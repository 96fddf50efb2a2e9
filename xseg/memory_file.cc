// SPDX-License-Identifier: Apache-2.0
#include "xseg/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace atl {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

Result<Mapping> Mapping::Map(int fd, size_t size, Access access) {
  const int protection = access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return Status::FromErrno(errno, "mmap of a segment");
  return Mapping(MutSpan(static_cast<std::byte*>(address), size));
}

Result<Fd> CreateSealedFile(const char* name, uint64_t size) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return Status::FromErrno(errno, "memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return Status::FromErrno(errno, "ftruncate of a segment");
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return Status::FromErrno(errno, "sealing a segment");
  }
  return fd;
}

Result<uint64_t> SizeOfSealedFile(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return Status(Code::kInvalid, "not a sealed memory file");
  }
  struct stat info;
  if (fstat(fd, &info) != 0) return Status::FromErrno(errno, "fstat of a segment");
  return static_cast<uint64_t>(info.st_size);
}

Status ReadStart(int fd, MutSpan out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::FromErrno(errno, "reading a segment's header");
    if (got == 0) return {Code::kInvalid, "a segment is shorter than its header"};
    done += static_cast<size_t>(got);
  }
  return {};
}

}  // namespace atl
