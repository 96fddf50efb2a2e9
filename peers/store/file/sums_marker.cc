// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/sums_marker.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>

#include "peers/store/file/layout.h"

namespace atl {
namespace {

constexpr size_t kDigits = 16;
constexpr size_t kMostBytes = 64;

// kNotFound if there is none.
Result<uint64_t> ReadMarker(const Dir& root) {
  ASSIGN_OR_RETURN(const Fd fd, OpenFileAt(root, kSumsFile, O_RDONLY));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadWhole(fd.get(), kMostBytes, root.PathOf(kSumsFile)));
  const std::string_view text = AsText(bytes);
  uint64_t generation = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + std::min(text.size(), kDigits), generation, 16);
  if (error != std::errc() || end != text.data() + kDigits || text.size() != kDigits + 1) {
    return Status(Code::kCorrupt, root.PathOf(kSumsFile) + " names no generation of checksums");
  }
  return generation;
}

}  // namespace

Result<uint64_t> MarkSums(const Dir& root, const Dir& tmp) {
  auto generation = ReadMarker(root);
  if (generation.code() != Code::kNotFound) return generation;
  ASSIGN_OR_RETURN(const TempFile temp, MakeTempAt(tmp));
  const std::string text = RandomHex().substr(0, kDigits) + "\n";
  const std::string path = root.PathOf(kSumsFile);
  RETURN_IF_ERROR(WriteAllAt(temp.fd.get(), 0, AsBytes(text), path));
  RETURN_IF_ERROR(SyncFile(temp.fd.get(), path));
  const bool linked =
      sys::LinkAt(tmp.get(), temp.name.c_str(), root.get(), kSumsFile) == 0 || errno == EEXIST;
  if (!linked) return PosixError(errno, "link", path);
  RETURN_IF_ERROR(UnlinkAt(tmp, temp.name));
  RETURN_IF_ERROR(SyncDir(root));
  return ReadMarker(root);
}

Status CheckUnmarked(const Dir& root) {
  ASSIGN_OR_RETURN(const bool marked, ExistsAt(root, kSumsFile));
  if (!marked) return {};
  return {Code::kInvalid,
          fmt::format("{} keeps checksums of its data: say checksum = on; to give them up remove "
                      "{} while no node uses it",
                      root.path, root.PathOf(kSumsFile))};
}

}  // namespace atl
