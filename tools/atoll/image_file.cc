// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/image_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

namespace atl {
namespace {

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Result<ImageSource> OpenImage(const std::string& path) {
  ImageSource image;
  image.path = path;
  // Not to wait for the other end of a FIFO.
  image.fd = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!image.fd.valid()) return Status::FromErrno(errno, path);
  struct stat info{};
  if (fstat(image.fd.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (S_ISREG(info.st_mode)) {
    image.size = static_cast<uint64_t>(info.st_size);
  } else if (!S_ISBLK(info.st_mode)) {
    return Status(Code::kInvalid, path + ": is neither a file nor a block device");
  } else if (ioctl(image.fd.get(), BLKGETSIZE64, &image.size) != 0) {
    return Status::FromErrno(errno, path);
  }
  if (image.size == 0) return Status(Code::kInvalid, path + ": is empty; a volume has a size");
  return image;
}

Result<std::optional<ByteRange>> NextData(const ImageSource& image, uint64_t offset) {
  using Found = std::optional<ByteRange>;
  if (offset >= image.size) return Found();
  const off_t data = lseek(image.fd.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) {
    if (errno == ENXIO) return Found();
    // Not every file system and no block device knows holes.
    if (errno == EINVAL) return Found({offset, image.size - offset});
    return Status::FromErrno(errno, image.path);
  }
  const off_t hole = lseek(image.fd.get(), data, SEEK_HOLE);
  if (hole < 0) return Status::FromErrno(errno, image.path);
  const auto low = static_cast<uint64_t>(data);
  const uint64_t high = std::min(static_cast<uint64_t>(hole), image.size);
  return low >= high ? Found() : Found({low, high - low});
}

Task<Status> ReadFile(Executor& executor, const ImageSource& image, uint64_t offset, MutSpan out) {
  while (!out.empty()) {
    const int got = co_await executor.ring().Read(image.fd.get(), out, offset);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got < 0) co_return Status::FromErrno(-got, image.path);
    if (got == 0) co_return Status(Code::kIo, image.path + ": became shorter while it was read");
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  co_return Status();
}

Task<Status> WriteFile(Executor& executor, int fd, const std::string& path, uint64_t offset,
                       ConstSpan data) {
  while (!data.empty()) {
    const int put = co_await executor.ring().Write(fd, data, offset);
    if (put == -EINTR || put == -EAGAIN) continue;
    if (put <= 0) co_return Status::FromErrno(put == 0 ? EIO : -put, path);
    offset += static_cast<uint64_t>(put);
    data = data.subspan(static_cast<size_t>(put));
  }
  co_return Status();
}

Result<ImageTarget> ImageTarget::Create(const std::string& path, uint64_t size, bool replace) {
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return Status(Code::kInvalid, path + ": is there and is no file");
    if (!replace) return Status(Code::kExists, path + ": is there already; --force replaces it");
  }
  std::string partial = fmt::format("{}.partial-{}", path, getpid());
  Fd fd(open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  ImageTarget target(std::move(fd), path, std::move(partial));
  target.replace_ = replace;
  if (ftruncate(target.fd(), static_cast<off_t>(size)) != 0) return Status::FromErrno(errno, path);
  return target;
}

ImageTarget::~ImageTarget() {
  if (fd_.valid() && !partial_.empty()) unlink(partial_.c_str());
}

Task<Status> ImageTarget::Commit(Executor& executor) {
  const int synced = co_await executor.ring().Fsync(fd_.get(), 0);
  if (synced < 0) co_return Status::FromErrno(-synced, path_);
  // Does not replace a file that was made meanwhile, unless that was asked for.
  const unsigned flags = replace_ ? 0 : RENAME_NOREPLACE;
  if (renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), flags) != 0) {
    co_return Status::FromErrno(errno, path_);
  }
  partial_.clear();
  const Fd folder(open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) co_return Status::FromErrno(errno, path_);
  const int folder_synced = co_await executor.ring().Fsync(folder.get(), 0);
  if (folder_synced < 0) co_return Status::FromErrno(-folder_synced, path_);
  co_return Status();
}

}  // namespace atl
