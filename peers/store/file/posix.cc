// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/posix.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "xseg/base/uuid.h"

namespace atl {
namespace {

constexpr int kTempTries = 16;

Result<Dir> OpenDirectory(int at, const char* name, std::string path, sys::Site site) {
  const int fd = sys::OpenAt(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0, site);
  if (fd >= 0) return Dir{Fd(fd), std::move(path)};
  // Something else under the name of a directory of ours is damage, not absence.
  if (errno == ENOTDIR || errno == ELOOP) {
    return Status(Code::kCorrupt, path + " is no directory");
  }
  return PosixError(errno, "open", path);
}

}  // namespace

std::string Dir::PathOf(std::string_view name) const { return fmt::format("{}/{}", path, name); }

Status PosixError(int posix_errno, std::string_view call, const std::string& path) {
  return Status::FromErrno(posix_errno, fmt::format("{} {}", call, path));
}

Result<Dir> OpenDir(const std::string& path, sys::Site site) {
  return OpenDirectory(AT_FDCWD, path.c_str(), path, site);
}

Result<Dir> OpenDirAt(const Dir& parent, const std::string& name, sys::Site site) {
  return OpenDirectory(parent.get(), name.c_str(), parent.PathOf(name), site);
}

Result<Dir> MakeDirAt(const Dir& parent, const std::string& name, sys::Site site) {
  if (sys::MakeDirAt(parent.get(), name.c_str(), 0750, site) != 0 && errno != EEXIST) {
    return PosixError(errno, "mkdir", parent.PathOf(name));
  }
  return OpenDirAt(parent, name, site);
}

Result<Fd> OpenFileAt(const Dir& parent, const std::string& name, int flags, mode_t mode,
                      sys::Site site) {
  // O_NONBLOCK: opening a FIFO that somebody left here must not hang.
  flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  // When it was last read concerns nobody; only its owner may ask for that.
  int got = sys::OpenAt(parent.get(), name.c_str(), flags | O_NOATIME, mode, site);
  if (got < 0 && errno == EPERM) got = sys::OpenAt(parent.get(), name.c_str(), flags, mode, site);
  if (got < 0) {
    if (errno == ELOOP || errno == EISDIR || errno == ENXIO) {
      return Status(Code::kCorrupt, parent.PathOf(name) + " is no regular file");
    }
    return PosixError(errno, "open", parent.PathOf(name));
  }
  Fd fd(got);
  struct stat info;
  if (sys::Fstat(fd.get(), &info, site) != 0) {
    return PosixError(errno, "fstat", parent.PathOf(name));
  }
  if (!S_ISREG(info.st_mode)) {
    return Status(Code::kCorrupt, parent.PathOf(name) + " is no regular file");
  }
  return fd;
}

bool IsIgnoredName(std::string_view name) {
  return name == "." || name == ".." || name.starts_with(".nfs");
}

Result<std::vector<std::string>> ListNames(const Dir& dir, sys::Site site) {
  // A description of its own: the position of `dir` may be shared.
  const int fd = sys::OpenAt(dir.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, site);
  if (fd < 0) return PosixError(errno, "open", dir.path);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd), closedir);
  if (!stream) {
    close(fd);
    return PosixError(errno, "fdopendir", dir.path);
  }
  std::vector<std::string> names;
  while (true) {
    const dirent* entry = sys::ReadDir(stream.get(), site);
    if (entry == nullptr) break;
    if (!IsIgnoredName(entry->d_name)) names.emplace_back(entry->d_name);
  }
  // A directory that was removed has no entries.
  if (errno != 0 && errno != ENOENT) return PosixError(errno, "readdir", dir.path);
  return names;
}

Status WriteAllAt(int fd, uint64_t offset, ConstSpan data, const std::string& path,
                  sys::Site site) {
  while (!data.empty()) {
    const ssize_t put = sys::Pwrite(fd, data, offset, site);
    if (put <= 0) return PosixError(put < 0 ? errno : EIO, "write", path);
    data = data.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return {};
}

Result<Bytes> ReadWhole(int fd, size_t limit, const std::string& path, sys::Site site) {
  struct stat info;
  if (sys::Fstat(fd, &info, site) != 0) return PosixError(errno, "fstat", path);
  if (static_cast<uint64_t>(info.st_size) > limit) {
    return Status(Code::kCorrupt, fmt::format("{}: {} bytes are too many", path, info.st_size));
  }
  Bytes bytes(static_cast<size_t>(info.st_size));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = sys::Pread(fd, MutSpan(bytes).subspan(done), done, site);
    if (got < 0) return PosixError(errno, "read", path);
    if (got == 0) {
      bytes.resize(done);
      break;
    }
    done += static_cast<size_t>(got);
  }
  return bytes;
}

Status SyncFile(int fd, const std::string& path, sys::Site site) {
  if (sys::Fsync(fd, site) == 0) return {};
  return PosixError(errno, "fsync", path);
}

Status UnlinkAt(const Dir& parent, const std::string& name, sys::Site site) {
  if (sys::UnlinkAt(parent.get(), name.c_str(), 0, site) == 0 || errno == ENOENT) return {};
  return PosixError(errno, "unlink", parent.PathOf(name));
}

Result<bool> ExistsAt(const Dir& parent, const std::string& name, sys::Site site) {
  if (sys::AccessAt(parent.get(), name.c_str(), site) == 0) return true;
  if (errno == ENOENT) return false;
  return PosixError(errno, "access", parent.PathOf(name));
}

bool SameFile(int fd, const Dir& parent, const std::string& name, sys::Site site) {
  struct stat here, there;
  if (sys::Fstat(fd, &here, site) != 0) return false;
  if (sys::FstatAt(parent.get(), name.c_str(), &there, site) != 0) return false;
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

Result<bool> TryLock(int fd, const std::string& path, sys::Site site) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (sys::SetLock(fd, &lock, site) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return PosixError(errno, "lock", path);
}

std::string RandomHex() {
  Uuid random;
  CHECK(getrandom(random.bytes.data(), random.bytes.size(), 0) ==
        static_cast<ssize_t>(random.bytes.size()));
  return random.ToHex();
}

Result<TempFile> MakeTempAt(const Dir& parent, sys::Site site) {
  for (int tries = 0; tries < kTempTries; ++tries) {
    TempFile temp{.fd = {}, .name = std::string(kTempPrefix) + RandomHex()};
    ASSIGN_OR_RETURN(temp.fd, OpenFileAt(parent, temp.name, O_RDWR | O_CREAT | O_EXCL, 0640, site));
    ASSIGN_OR_RETURN(const bool locked, TryLock(temp.fd.get(), parent.PathOf(temp.name), site));
    // Sweep may have been quicker and have taken it for abandoned.
    if (locked && SameFile(temp.fd.get(), parent, temp.name, site)) return temp;
    RETURN_IF_ERROR(UnlinkAt(parent, temp.name, site));
  }
  return Status(Code::kBusy, parent.path + ": temporaries are removed as soon as they are made");
}

}  // namespace atl
