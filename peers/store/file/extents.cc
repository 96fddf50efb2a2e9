// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/extents.h"

#include <linux/fiemap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "peers/store/file/posix.h"

namespace atl {
namespace {

// Extents that are asked for at once.
constexpr size_t kExtentsAtOnce = 64;

class FileMap {
 public:
  // The extents of `range`. An error number, or 0.
  int Ask(int fd, ByteRange range) {
    map_.fm_start = range.offset;
    map_.fm_length = range.length;
    map_.fm_flags = 0;
    map_.fm_extent_count = kExtentsAtOnce;
    return sys::Fiemap(fd, &map_) == 0 ? 0 : errno;
  }
  std::span<const fiemap_extent> extents() const {
    return {map_.fm_extents, map_.fm_mapped_extents};
  }

 private:
  union {
    fiemap map_;
    char room_[sizeof(fiemap) + kExtentsAtOnce * sizeof(fiemap_extent)];
  };
};

bool IsUnknown(int error) { return error == EOPNOTSUPP || error == ENOTTY || error == EINVAL; }

// An extent that is not unwritten has come since the hole was found.
ExtentKind KindOf(const fiemap_extent& extent) {
  return (extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0 ? ExtentKind::kZero : ExtentKind::kData;
}

Status VisitHole(int fd, ByteRange hole, const std::string& path, const VisitExtent& visit) {
  FileMap map;
  uint64_t at = hole.offset;
  while (at < hole.end()) {
    const uint64_t before = at;
    const int error = map.Ask(fd, {at, hole.end() - at});
    if (IsUnknown(error)) break;
    if (error != 0) return PosixError(error, "fiemap", path);
    for (const fiemap_extent& extent : map.extents()) {
      const ByteRange rest{at, hole.end() - at};
      const ByteRange part = ByteRange{extent.fe_logical, extent.fe_length}.Intersect(rest);
      if (part.empty()) continue;
      if (part.offset > at) {
        RETURN_IF_ERROR(visit({at, part.offset - at}, ExtentKind::kHole));
      }
      RETURN_IF_ERROR(visit(part, KindOf(extent)));
      at = part.end();
    }
    if (at == before) break;
  }
  return at < hole.end() ? visit({at, hole.end() - at}, ExtentKind::kHole) : OkStatus();
}

}  // namespace

Status ForEachPiece(int fd, ByteRange range, const std::string& path, const VisitPiece& visit) {
  for (uint64_t at = range.offset; at < range.end();) {
    const off_t data = sys::Lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return PosixError(errno, "lseek", path);
    const uint64_t begin =
        data < 0 ? range.end() : std::min(static_cast<uint64_t>(data), range.end());
    if (begin > at) RETURN_IF_ERROR(visit(ByteRange{at, begin - at}, false));
    if (begin == range.end()) return {};
    const off_t hole = sys::Lseek(fd, begin, SEEK_HOLE);
    if (hole < 0 && errno != ENXIO) return PosixError(errno, "lseek", path);
    // Behind ENXIO is the end of a file that somebody cut meanwhile.
    const uint64_t end = hole < 0 ? begin : std::min(static_cast<uint64_t>(hole), range.end());
    if (end > begin) RETURN_IF_ERROR(visit(ByteRange{begin, end - begin}, true));
    at = std::max(end, begin);
    if (hole < 0) return visit(ByteRange{begin, range.end() - begin}, false);
  }
  return {};
}

Status ForEachExtent(int fd, ByteRange range, const std::string& path, const VisitExtent& visit) {
  struct stat info;
  if (sys::Fstat(fd, &info) != 0) return PosixError(errno, "fstat", path);
  const auto size = static_cast<uint64_t>(info.st_size);
  return ForEachPiece(fd, range, path, [&](ByteRange piece, bool data) -> Status {
    if (data) return visit(piece, ExtentKind::kData);
    const ByteRange inside = piece.Intersect({0, size});
    if (!inside.empty()) RETURN_IF_ERROR(VisitHole(fd, inside, path, visit));
    const uint64_t at = inside.empty() ? piece.offset : inside.end();
    return at < piece.end() ? visit({at, piece.end() - at}, ExtentKind::kHole) : OkStatus();
  });
}

}  // namespace atl
