// SPDX-License-Identifier: Apache-2.0
#include "bench/nbdbare/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace atl::nbdbare {

Result<Image> Image::Open(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, "open " + path);
  struct stat found;
  if (fstat(fd.get(), &found) != 0) return Status::FromErrno(errno, "stat " + path);
  const auto size = static_cast<uint64_t>(found.st_size);
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return Status::FromErrno(errno, "mmap " + path);
  madvise(mapped, size, MADV_RANDOM);
  return Image(std::move(fd), static_cast<std::byte*>(mapped), size);
}

Image::Image(Image&& other) noexcept
    : fd_(std::move(other.fd_)),
      mapped_(std::exchange(other.mapped_, nullptr)),
      size_(other.size_) {}

Image::~Image() {
  if (mapped_ != nullptr) munmap(mapped_, size_);
}

Status Image::Write(uint64_t offset, ConstSpan data) const {
  while (!data.empty()) {
    const ssize_t put = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0) return Status::FromErrno(errno, "pwrite");
    offset += static_cast<uint64_t>(put);
    data = data.subspan(static_cast<size_t>(put));
  }
  return {};
}

Status Image::Sync() const {
  if (fdatasync(fd_.get()) != 0) return Status::FromErrno(errno, "fdatasync");
  return {};
}

}  // namespace atl::nbdbare
