// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/probe.h"

#include <fmt/format.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "peers/store/file/direct_io.h"
#include "peers/store/file/extents.h"

// Linux 6.8; older headers do not know it.
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

namespace atl {
namespace {

struct LocalType {
  long magic;
  const char* name;
};
// File systems whose locks and page cache belong to this host alone.
constexpr LocalType kLocalTypes[] = {
    {0xEF53, "ext4"}, {0x58465342, "xfs"}, {0x9123683E, "btrfs"}, {0x01021994, "tmpfs"}};
constexpr long kNfsMagic = 0x6969;

constexpr uint64_t kProbeBytes = 256 * 1024;

// The seal counts only if it stops a descriptor that was open before.
SealKind ProbeSeal(const TempFile& temp) {
  if (!SetImmutable(temp.fd.get(), true, temp.name).ok()) return SealKind::kNone;
  const bool stops_write = sys::Pwrite(temp.fd.get(), AsBytes("x"), 0) < 0 && errno == EPERM;
  const bool stops_truncate = sys::Ftruncate(temp.fd.get(), 1) < 0 && errno == EPERM;
  const bool stops_punch =
      sys::Fallocate(temp.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, {0, 4096}) < 0 &&
      errno == EPERM;
  const bool cleared = SetImmutable(temp.fd.get(), false, temp.name).ok();
  return stops_write && stops_truncate && stops_punch && cleared ? SealKind::kImmutableFlag
                                                                 : SealKind::kNone;
}

Support ProbeFallocate(int fd, int mode) {
  return sys::Fallocate(fd, mode, {4096, 8192}) == 0 ? Support::kNative : Support::kEmulated;
}

Support ProbeExtents(int fd) {
  if (sys::Ftruncate(fd, 0) != 0 || sys::Ftruncate(fd, kProbeBytes) != 0) return Support::kNone;
  return sys::Lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO ? Support::kNative : Support::kNone;
}

// In the file as ProbeExtents leaves it: zeros kept allocated in the middle of a hole.
bool ProbeAllocation(int fd) {
  if (sys::Fallocate(fd, FALLOC_FL_ZERO_RANGE, {4096, 8192}) != 0) return false;
  bool told = false;
  const auto look = [&told](ByteRange piece, ExtentKind kind) {
    told |= kind == ExtentKind::kZero && piece == ByteRange{4096, 8192};
    return OkStatus();
  };
  return ForEachExtent(fd, {0, kProbeBytes}, "probe", look).ok() && told;
}

std::optional<Uuid> BootId() {
  const Fd fd(sys::Open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  Bytes text(36);
  if (!fd.valid()) return std::nullopt;
  if (sys::Pread(fd.get(), text, 0) != static_cast<ssize_t>(text.size())) return std::nullopt;
  const auto boot = Uuid::Parse(AsText(text));
  if (!boot.ok()) return std::nullopt;
  return *boot;
}

// Proof needs a mount identity that is never used again: the old one comes back identical when a
// file system that was shut down by an error, and lost its cache, is mounted again.
CacheIdentity ProbeCache(const Dir& tmp, bool local) {
  CacheIdentity cache;
  const auto boot = BootId();
  struct statx info{};
  if (!boot || sys::Statx(tmp.get(), STATX_MNT_ID_UNIQUE, &info) != 0) return cache;
  if ((info.stx_mask & STATX_MNT_ID_UNIQUE) == 0) return cache;
  cache.boot = *boot;
  cache.mount = info.stx_mnt_id;
  cache.trusted = local;
  return cache;
}

}  // namespace

Status SetImmutable(int fd, bool on, const std::string& path) {
  int flags = 0;
  if (sys::GetFlags(fd, &flags) != 0) return PosixError(errno, "getflags", path);
  const int wanted = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  if (wanted == flags) return {};
  if (sys::SetFlags(fd, wanted) != 0) return PosixError(errno, "setflags", path);
  return {};
}

bool IsImmutable(int fd) {
  int flags = 0;
  return sys::GetFlags(fd, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0;
}

Result<FileSystemFacts> ProbeFileSystem(const Dir& tmp) {
  struct statfs info;
  if (sys::Fstatfs(tmp.get(), &info) != 0) return PosixError(errno, "statfs", tmp.path);
  FileSystemFacts facts;
  facts.type = fmt::format("type {:#x}", static_cast<uint64_t>(info.f_type));
  for (const LocalType& type : kLocalTypes) {
    if (type.magic != info.f_type) continue;
    facts.type = type.name;
    facts.local = true;
  }
  ASSIGN_OR_RETURN(const TempFile temp, MakeTempAt(tmp));
  const int fd = temp.fd.get();
  if (sys::Ftruncate(fd, kProbeBytes) != 0) return PosixError(errno, "ftruncate", tmp.path);
  Capabilities& can = facts.capabilities;
  can.late_no_space = !facts.local;
  can.holds_records = facts.local || info.f_type == kNfsMagic;
  can.proves_death = facts.local;
  can.atomic_unit = kSector;
  can.punch = ProbeFallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
  can.zero = ProbeFallocate(fd, FALLOC_FL_ZERO_RANGE);
  can.extents = ProbeExtents(fd);
  can.tells_allocation = can.extents != Support::kNone && ProbeAllocation(fd);
  if (facts.local) can.seal = ProbeSeal(temp);
  facts.cache = ProbeCache(tmp, facts.local);
  RETURN_IF_ERROR(UnlinkAt(tmp, temp.name));
  return facts;
}

// The flag says nothing of what the disk wants to be aligned, so a block is written. What discards
// do by hand where there is no native way does not fit such blocks.
Status ProbeDirect(const Dir& tmp, const Capabilities& can) {
  const Status none(Code::kUnsupported, "there is no direct I/O there; leave out 'direct'");
  if (can.punch != Support::kNative || can.zero != Support::kNative) return none.With(tmp.path);
  ASSIGN_OR_RETURN(const TempFile temp, MakeTempAt(tmp));
  alignas(kDirectBlock) static constexpr std::byte kBlock[kDirectBlock] = {};
  int error = sys::SetDirect(temp.fd.get()) == 0 ? 0 : errno;
  if (error == 0 && sys::Pwrite(temp.fd.get(), kBlock, 0) < 0) error = errno;
  RETURN_IF_ERROR(UnlinkAt(tmp, temp.name));
  if (error == EINVAL || error == EOPNOTSUPP) return none.With(tmp.path);
  // A store that is full still serves.
  return error == 0 || error == ENOSPC ? OkStatus() : PosixError(error, "direct I/O in", tmp.path);
}

}  // namespace atl
