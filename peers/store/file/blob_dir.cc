// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/blob_dir.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "peers/store/blob_extents.h"
#include "peers/store/file/extents.h"
#include "peers/store/file/layout.h"
#include "peers/store/file/probe.h"

namespace atl {
namespace {

std::string MadeName(uint32_t index) { return std::to_string(index) + kMadeSuffix; }

// The index of a name that is one of a blob's files.
std::optional<uint32_t> BlobFileIndex(const std::string& name) {
  const auto number = ParseNumber(name);
  if (!number || *number >= kMaxBlobFiles) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

Status Gone(const Dir& dir, uint32_t index) {
  return {Code::kCorrupt, fmt::format("{}/{} was made and is gone", dir.path, index)};
}

// What a change to an immutable directory or file answers.
Status Fenced(const Status& status, const std::string& path) {
  if (status.code() != Code::kPermission) return status;
  return {Code::kFenced, path + " is sealed"};
}

Result<Dir> MakeBlobDir(const Dir& blobs, const BlobId& id) {
  auto dir = MakeDirAt(blobs, FileNameOf(id));
  if (!dir.ok()) return dir.status();
  return dir;
}

}  // namespace

Result<Dir> OpenBlobDir(const Dir& blobs, const BlobId& id) {
  auto dir = OpenDirAt(blobs, FileNameOf(id));
  if (dir.code() != Code::kNotFound) return dir;
  return Status(Code::kNotFound, fmt::format("blob {} is not there", id.ToString()));
}

// --- Adopting ------------------------------------------------------------------------------------

Result<std::optional<AdoptedBlob>> TryAdoptBlob(const Dir& blobs, const BlobId& id) {
  using Adopted = std::optional<AdoptedBlob>;
  AdoptedBlob blob;
  ASSIGN_OR_RETURN(blob.dir, MakeBlobDir(blobs, id));
  if (IsImmutable(blob.dir.get())) return Status(Code::kFenced, blob.dir.path + " is sealed");
  auto head = OpenFileAt(blob.dir, kBlobHead, O_RDWR | O_CREAT);
  if (head.code() == Code::kNotFound) return Adopted();  // Being removed at this moment.
  if (!head.ok()) return Fenced(head.status(), blob.dir.path);
  blob.head = *std::move(head);
  ASSIGN_OR_RETURN(const bool locked, TryLock(blob.head.get(), blob.dir.path));
  if (!locked || !SameFile(blob.head.get(), blob.dir, kBlobHead) ||
      !SameFile(blob.dir.get(), blobs, FileNameOf(id))) {
    return Adopted();
  }
  ASSIGN_OR_RETURN(const auto names, ListNames(blob.dir));
  for (const std::string& name : names) {
    const auto index = BlobFileIndex(name);
    if (!index) continue;
    // The kernel keeps a dead writer's lock until its last request has landed.
    auto fd = OpenFileAt(blob.dir, name, O_RDWR);
    if (!fd.ok()) return Fenced(fd.status(), blob.dir.PathOf(name));
    ASSIGN_OR_RETURN(const bool idle, TryLock(fd->get(), blob.dir.PathOf(name)));
    if (!idle) return Adopted();
    blob.files.set(*index);
  }
  return Adopted(std::move(blob));
}

Result<Fd> OpenBlobFileForWriting(const AdoptedBlob& blob, uint32_t index) {
  const std::string name = std::to_string(index), made = MadeName(index);
  const std::string path = blob.dir.PathOf(name);
  ASSIGN_OR_RETURN(const bool was_made, ExistsAt(blob.dir, made));
  auto fd = OpenFileAt(blob.dir, name, was_made ? O_RDWR : O_RDWR | O_CREAT);
  if (fd.code() == Code::kNotFound && was_made) return Gone(blob.dir, index);
  if (!fd.ok()) return Fenced(fd.status(), path);
  ASSIGN_OR_RETURN(const bool locked, TryLock(fd->get(), path));
  if (!locked) return Status(Code::kBusy, path + " is locked by another instance");
  if (was_made) return fd;
  // What the marker promises must be durable before the marker can be.
  RETURN_IF_ERROR(SyncDir(blob.dir));
  if (sys::LinkAt(blob.dir.get(), kBlobHead, blob.dir.get(), made.c_str()) != 0 &&
      errno != EEXIST) {
    return Fenced(PosixError(errno, "link", blob.dir.PathOf(made)), path);
  }
  return fd;
}

Result<std::optional<Fd>> OpenBlobFileForReading(const Dir& dir, uint32_t index) {
  // Whoever makes it does so between two looks.
  for (bool was_made = false;;) {
    auto fd = OpenFileAt(dir, std::to_string(index), O_RDONLY);
    if (fd.ok()) return std::optional<Fd>(*std::move(fd));
    if (fd.code() != Code::kNotFound) return fd.status();
    if (was_made) return Gone(dir, index);
    ASSIGN_OR_RETURN(was_made, ExistsAt(dir, MadeName(index)));
    if (!was_made) return std::optional<Fd>();
  }
}

// --- Sealing and removing ------------------------------------------------------------------------

Status SealBlobDir(const Dir& blobs, const BlobId& id) {
  ASSIGN_OR_RETURN(const Dir dir, MakeBlobDir(blobs, id));
  // The directory first: a holder must not make another file while its files are sealed.
  RETURN_IF_ERROR(SetImmutable(dir.get(), true, dir.path));
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  for (const std::string& name : names) {
    const std::string path = dir.PathOf(name);
    ASSIGN_OR_RETURN(const Fd fd, OpenFileAt(dir, name, O_RDONLY));
    RETURN_IF_ERROR(SetImmutable(fd.get(), true, path));
    RETURN_IF_ERROR(SyncFile(fd.get(), path));
  }
  RETURN_IF_ERROR(SyncDir(dir));
  return SyncDir(blobs);
}

Status RemoveTree(const Dir& parent, const std::string& name) {
  ASSIGN_OR_RETURN(const Dir dir, OpenDirAt(parent, name));
  if (IsImmutable(dir.get())) RETURN_IF_ERROR(SetImmutable(dir.get(), false, dir.path));
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  for (const std::string& file : names) {
    const auto fd = OpenFileAt(dir, file, O_RDONLY);
    if (fd.ok() && IsImmutable(fd->get())) {
      RETURN_IF_ERROR(SetImmutable(fd->get(), false, dir.PathOf(file)));
    }
    RETURN_IF_ERROR(UnlinkAt(dir, file));
  }
  if (sys::UnlinkAt(parent.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return PosixError(errno, "rmdir", dir.path);
}

Status RemoveBlobDir(const Dir& blobs, const Dir& tmp, const BlobId& id) {
  ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(blobs, id));
  if (IsImmutable(dir.get())) RETURN_IF_ERROR(SetImmutable(dir.get(), false, dir.path));
  // One step takes it off its name; half a blob is never seen under it.
  const std::string name = FileNameOf(id), garbage = kRemovedPrefix + RandomHex();
  if (sys::RenameAt(blobs.get(), name.c_str(), tmp.get(), garbage.c_str()) != 0) {
    if (errno == ENOENT) return OpenBlobDir(blobs, id).status();
    return PosixError(errno, "rename", dir.path);
  }
  return RemoveTree(tmp, garbage);
}

// --- Syncing and counting ------------------------------------------------------------------------

Status SyncBlobDir(const Dir& blobs, const BlobId& id) {
  ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(blobs, id));
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  for (const std::string& name : names) {
    const auto index = BlobFileIndex(name);
    if (!index) continue;
    ASSIGN_OR_RETURN(const auto fd, OpenBlobFileForReading(dir, *index));
    if (fd) RETURN_IF_ERROR(SyncFile(fd->get(), dir.PathOf(name)));
  }
  RETURN_IF_ERROR(SyncDir(dir));
  return SyncDir(blobs);
}

Result<uint64_t> BlobUsage(const Dir& blobs, const BlobId& id) {
  ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(blobs, id));
  ASSIGN_OR_RETURN(const auto names, ListNames(dir));
  uint64_t blocks = 0;
  for (const std::string& name : names) {
    struct stat info;
    if (!BlobFileIndex(name)) continue;
    if (sys::FstatAt(dir.get(), name.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return PosixError(errno, "fstat", dir.PathOf(name));
    }
    blocks += static_cast<uint64_t>(info.st_blocks);
  }
  return blocks * 512;
}

Result<std::vector<BlobExtent>> BlobExtents(const Dir& blobs, const BlobId& id, ByteRange range) {
  ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(blobs, id));
  std::vector<BlobExtent> extents;
  for (uint64_t at = range.offset; at < range.end();) {
    const auto index = static_cast<uint32_t>(at / kBlobFileBytes);
    const uint64_t base = index * kBlobFileBytes;
    const ByteRange part = ByteRange{base, kBlobFileBytes}.Intersect(range);
    ASSIGN_OR_RETURN(const auto fd, OpenBlobFileForReading(dir, index));
    if (!fd) {
      AddExtent(&extents, part, ExtentKind::kHole);
    } else {
      const std::string path = dir.PathOf(std::to_string(index));
      const auto add = [&](ByteRange piece, ExtentKind kind) {
        piece.offset += base;
        AddExtent(&extents, piece, kind);
        return OkStatus();
      };
      RETURN_IF_ERROR(ForEachExtent(fd->get(), {part.offset - base, part.length}, path, add));
    }
    at = part.end();
  }
  return extents;
}

// --- Moving bytes --------------------------------------------------------------------------------

namespace {

constexpr size_t kCopyBuffer = 256 * kKiB;

// By our own buffer, where the kernel cannot copy between these two files.
Status CopyByHand(int from, int to, ByteRange range, const std::string& path) {
  Bytes buffer(std::min<uint64_t>(kCopyBuffer, range.length));
  while (!range.empty()) {
    const MutSpan piece = MutSpan(buffer).first(std::min<uint64_t>(buffer.size(), range.length));
    const ssize_t got = sys::Pread(from, piece, range.offset);
    if (got < 0) return PosixError(errno, "read", path);
    if (got == 0) return PunchFileRange(to, range, path);
    const auto count = static_cast<size_t>(got);
    RETURN_IF_ERROR(WriteAllAt(to, range.offset, piece.first(count), path));
    range = {range.offset + count, range.length - count};
  }
  return {};
}

Status CopyData(int from, int to, ByteRange range, const std::string& path) {
  while (!range.empty()) {
    const ssize_t put = sys::CopyFileRange(from, to, range);
    if (put < 0 && errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) {
      return PosixError(errno, "copy to", path);
    }
    if (put <= 0) return CopyByHand(from, to, range, path);
    range = {range.offset + static_cast<uint64_t>(put), range.length - static_cast<uint64_t>(put)};
  }
  return {};
}

}  // namespace

Status WriteZeros(int fd, ByteRange range, const std::string& path) {
  const Bytes zeros(std::min<uint64_t>(kCopyBuffer, range.length));
  while (!range.empty()) {
    const uint64_t count = std::min<uint64_t>(zeros.size(), range.length);
    RETURN_IF_ERROR(WriteAllAt(fd, range.offset, ConstSpan(zeros).first(count), path));
    range = {range.offset + count, range.length - count};
  }
  return {};
}

Status PunchFileRange(int fd, ByteRange range, const std::string& path) {
  if (range.empty()) return {};
  // The kernel zeroes what is not a whole block, and frees what is.
  if (sys::Fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range) == 0) return {};
  if (errno != EOPNOTSUPP) return PosixError(errno, "punch", path);
  struct stat info;
  if (sys::Fstat(fd, &info) != 0) return PosixError(errno, "fstat", path);
  // Behind the end it reads as zero already.
  return WriteZeros(fd, range.Intersect({0, static_cast<uint64_t>(info.st_size)}), path);
}

Status CopyFileRange(int from, int to, ByteRange range, const std::string& path) {
  if (from < 0) return PunchFileRange(to, range, path);
  return ForEachPiece(from, range, path, [&](ByteRange piece, bool data) {
    return data ? CopyData(from, to, piece, path) : PunchFileRange(to, piece, path);
  });
}

}  // namespace atl
