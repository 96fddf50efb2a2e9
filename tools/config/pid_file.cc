// SPDX-License-Identifier: Apache-2.0
#include "tools/config/pid_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "xseg/base/process.h"

namespace atl {
namespace {

// How long the kernel may take to end a process that was killed.
constexpr std::chrono::milliseconds kNap{10};
constexpr int kMostNaps = 1'000;

struct flock WholeFile() {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

// For a holder in another pid namespace the kernel has no number; the file does.
pid_t WrittenPid(int fd) {
  char text[32] = {};
  if (pread(fd, text, sizeof(text) - 1, 0) <= 0) return 0;
  return static_cast<pid_t>(std::strtol(text, nullptr, 10));
}

// Always as long, and in place: a disk that is full keeps no node from starting.
Status WritePid(int fd, pid_t pid, const std::string& path) {
  const std::string text = fmt::format("{:<15}\n", pid == 0 ? "" : std::to_string(pid));
  const ssize_t put = pwrite(fd, text.data(), text.size(), 0);
  if (put == static_cast<ssize_t>(text.size()) &&
      ftruncate(fd, static_cast<off_t>(text.size())) == 0) {
    return {};
  }
  // The lock is what counts; without room there is no number for others to read.
  if (put < 0 && errno != ENOSPC) return Status::FromErrno(errno, path);
  return {};
}

// A process that was killed is a zombie as soon as its first thread is gone, and keeps its locks
// until the last one is: that is no holder, but it must be waited for.
std::optional<pid_t> HolderOfFd(int fd) {
  for (int nap = 0;; ++nap) {
    struct flock lock = WholeFile();
    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
    if (lock.l_pid <= 0) return WrittenPid(fd);
    const ProcessId holder{.pid = static_cast<uint32_t>(lock.l_pid)};
    if (nap == kMostNaps || IsAlive(holder)) return lock.l_pid;
    std::this_thread::sleep_for(kNap);
  }
}

}  // namespace

Result<PidFile> PidFile::Acquire(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return Status::FromErrno(errno, path);
  struct flock lock = WholeFile();
  while (fcntl(fd.get(), F_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) return Status::FromErrno(errno, path);
    const auto holder = HolderOfFd(fd.get());
    if (!holder) continue;  // It has just gone.
    return Status(Code::kBusy, fmt::format("a node is running on this state folder already (pid "
                                           "{})",
                                           *holder));
  }
  RETURN_IF_ERROR(WritePid(fd.get(), getpid(), path));
  return PidFile(std::move(fd));
}

PidFile::~PidFile() {
  // The file stays: removing it could take away one that a successor has locked just now.
  if (fd_.valid()) [[maybe_unused]]
    const Status ignored = WritePid(fd_.get(), 0, "");
}

Result<std::optional<pid_t>> PidFile::HolderOf(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.valid()) return HolderOfFd(fd.get());
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<pid_t>();
  return Status::FromErrno(errno, path);
}

}  // namespace atl
