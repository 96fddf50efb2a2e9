// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/chunk_dirs.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "peers/store/file/layout.h"
#include "peers/store/sha256.h"

namespace atl {
namespace {

std::string GroupOf(const ChunkId& id) { return ToHex(id).substr(0, 2); }

Status Missing(const ChunkId& id) {
  return {Code::kNotFound, "chunk " + ToHex(id) + " is not there"};
}

}  // namespace

Result<ChunkDirs> ChunkDirs::Open(const Dir& root) {
  ChunkDirs dirs;
  ASSIGN_OR_RETURN(dirs.chunks_, MakeDirAt(root, kChunksDir));
  ASSIGN_OR_RETURN(dirs.tmp_, MakeDirAt(root, kTmpDir));
  return dirs;
}

Result<Bytes> ChunkDirs::Get(const ChunkId& id) const {
  const auto group = OpenDirAt(chunks_, GroupOf(id));
  if (group.code() == Code::kNotFound) return Missing(id);
  if (!group.ok()) return group.status();
  const std::string name = ToHex(id);
  const auto fd = OpenFileAt(*group, name, O_RDONLY);
  if (fd.code() == Code::kNotFound) return Missing(id);
  if (!fd.ok()) return fd.status();
  ASSIGN_OR_RETURN(Bytes bytes, ReadWhole(fd->get(), kMaxChunkBytes, group->PathOf(name)));
  if (Sha256(bytes) != id) {
    return Status(Code::kCorrupt, group->PathOf(name) + ": the content is not what its name says");
  }
  return bytes;
}

Status ChunkDirs::Put(const ChunkId& id, ConstSpan data) const {
  ASSIGN_OR_RETURN(const Dir group, MakeDirAt(chunks_, GroupOf(id)));
  const std::string name = ToHex(id);
  // A chunk that is there and right may not be durable yet.
  if (Get(id).ok()) {
    ASSIGN_OR_RETURN(const Fd fd, OpenFileAt(group, name, O_RDONLY));
    RETURN_IF_ERROR(SyncFile(fd.get(), group.PathOf(name)));
  } else {
    ASSIGN_OR_RETURN(const TempFile temp, MakeTempAt(tmp_));
    const std::string path = tmp_.PathOf(temp.name);
    Status status = WriteAllAt(temp.fd.get(), 0, data, path);
    if (status.ok()) status = SyncFile(temp.fd.get(), path);
    // Over a damaged one too; two makers of one name put the same bytes.
    if (status.ok() &&
        sys::RenameAt(tmp_.get(), temp.name.c_str(), group.get(), name.c_str()) != 0) {
      status = PosixError(errno, "rename", path);
    }
    if (!status.ok()) {
      RETURN_IF_ERROR(UnlinkAt(tmp_, temp.name));
      return status;
    }
  }
  RETURN_IF_ERROR(SyncDir(group));
  return SyncDir(chunks_);
}

Status ChunkDirs::Remove(const ChunkId& id) const {
  const auto group = OpenDirAt(chunks_, GroupOf(id));
  if (group.code() == Code::kNotFound) return Missing(id);
  if (!group.ok()) return group.status();
  if (sys::UnlinkAt(group->get(), ToHex(id).c_str(), 0) == 0) return {};
  if (errno == ENOENT) return Missing(id);
  return PosixError(errno, "unlink", group->PathOf(ToHex(id)));
}

Result<std::vector<ChunkId>> ChunkDirs::List() const {
  std::vector<ChunkId> ids;
  ASSIGN_OR_RETURN(const auto groups, ListNames(chunks_));
  for (const std::string& group_name : groups) {
    if (group_name.size() != 2) continue;
    const auto group = OpenDirAt(chunks_, group_name);
    if (group.code() == Code::kNotFound) continue;
    if (!group.ok()) return group.status();  // A list with a gap would pass for a whole one.
    ASSIGN_OR_RETURN(const auto names, ListNames(*group));
    for (const std::string& name : names) {
      const auto id = ParseChunkName(name);
      if (id && GroupOf(*id) == group_name) ids.push_back(*id);
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace atl
