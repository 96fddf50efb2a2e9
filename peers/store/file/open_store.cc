// SPDX-License-Identifier: Apache-2.0
//
// Opening and making a file store.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "peers/store/file/file_store.h"
#include "peers/store/file/layout.h"
#include "peers/store/file/probe.h"
#include "peers/store/file/sums_marker.h"
#include "peers/store/superblock.h"

namespace atl {
namespace {

constexpr std::string_view kMarkerText =
    "This directory is an Atoll file store, format 1. Change nothing in it by hand.\n";

constexpr const char* kOurNames[] = {kMarkerFile, kReserveFile, kBlobsDir, kLogsDir,  kChunksDir,
                                     kRecordsDir, kFloorsDir,   kTmpDir,   kSumsFile, "lost+found"};

// A directory that holds something else is not taken over: it may be the mount point of a disk that
// is missing, or a mistyped path.
Status CheckNoForeigners(const Dir& root) {
  ASSIGN_OR_RETURN(const auto names, ListNames(root));
  for (const std::string& name : names) {
    if (std::none_of(std::begin(kOurNames), std::end(kOurNames),
                     [&](const char* ours) { return name == ours; })) {
      return {Code::kInvalid,
              fmt::format("{} is no store and not empty: it holds {}", root.path, name)};
    }
  }
  return {};
}

Status WriteMarker(const Dir& root, const Dir& tmp) {
  ASSIGN_OR_RETURN(const TempFile temp, MakeTempAt(tmp));
  RETURN_IF_ERROR(WriteAllAt(temp.fd.get(), 0, AsBytes(kMarkerText), root.path));
  RETURN_IF_ERROR(SyncFile(temp.fd.get(), root.path));
  if (sys::RenameAt(tmp.get(), temp.name.c_str(), root.get(), kMarkerFile) != 0) {
    return PosixError(errno, "rename", root.PathOf(kMarkerFile));
  }
  return SyncDir(root);
}

Status CheckMarker(const Dir& root) {
  auto fd = OpenFileAt(root, kMarkerFile, O_RDONLY);
  if (fd.code() == Code::kNotFound) {
    return {Code::kNotFound, root.path + " holds no store"};
  }
  if (!fd.ok()) return fd.status();
  ASSIGN_OR_RETURN(const Bytes text, ReadWhole(fd->get(), 4 * kKiB, root.PathOf(kMarkerFile)));
  if (AsText(text) == kMarkerText) return {};
  return {Code::kUnsupported, root.PathOf(kMarkerFile) + ": another format of store"};
}

Result<Dir> OpenRoot(const FileStoreOptions& options) {
  if (options.create && sys::MakeDir(options.path.c_str(), 0750) != 0 && errno != EEXIST) {
    return PosixError(errno, "mkdir", options.path);
  }
  // The path of the store itself is the user's and may be a symbolic link.
  const int fd = sys::Open(options.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return PosixError(errno, "open", options.path);
  return Dir{Fd(fd), options.path};
}

Result<Superblock> ReadSuperblock(const RecordDirs& records, const std::string& path) {
  ASSIGN_OR_RETURN(const Record record, records.Get(SuperblockKey(), ReadFor::kAct));
  auto superblock = DecodeSuperblock(record.payload);
  if (!superblock.ok()) return superblock.status().With(path);
  return superblock;
}

// Several may make the same store at once; one wins and the others find its superblock.
Status MakeSuperblock(Executor& executor, const RecordDirs& records) {
  const Uuid uuid = executor.NewUuid();
  const Superblock superblock{
      .store = uuid, .driver = "file", .created_ns = executor.WallNs(), .header_stores = {uuid}};
  const auto made = records.Swap(SuperblockKey(), 0, EncodeSuperblock(superblock), uuid);
  return made.ok() || made.code() == Code::kConflict ? OkStatus() : made.status();
}

}  // namespace

Result<std::unique_ptr<FileStore>> FileStore::Open(Executor& executor, FileStoreOptions options) {
  auto context = std::make_unique<FileContext>(executor);
  context->name = options.name;
  context->max_open_files = options.max_open_files;
  context->direct = options.direct;
  context->witnesses = options.witnesses;
  ASSIGN_OR_RETURN(context->root, OpenRoot(options));
  Status marker = CheckMarker(context->root);
  const bool make = marker.code() == Code::kNotFound && options.create;
  if (!marker.ok() && !make) return marker;
  if (make) RETURN_IF_ERROR(CheckNoForeigners(context->root));
  ASSIGN_OR_RETURN(context->blobs, MakeDirAt(context->root, kBlobsDir));
  ASSIGN_OR_RETURN(context->logs, MakeDirAt(context->root, kLogsDir));
  ASSIGN_OR_RETURN(context->tmp, MakeDirAt(context->root, kTmpDir));
  ASSIGN_OR_RETURN(context->reserve, SpaceReserve::Open(context->root, options.reserve_bytes));
  ASSIGN_OR_RETURN(RecordDirs records, RecordDirs::Open(context->root));
  ASSIGN_OR_RETURN(ChunkDirs chunks, ChunkDirs::Open(context->root));
  ASSIGN_OR_RETURN(const FileSystemFacts facts, ProbeFileSystem(context->tmp));
  context->can = facts.capabilities;
  if (options.direct) RETURN_IF_ERROR(ProbeDirect(context->tmp, context->can));
  uint64_t sums = 0;
  if (options.sums) {
    ASSIGN_OR_RETURN(sums, MarkSums(context->root, context->tmp));
  } else {
    RETURN_IF_ERROR(CheckUnmarked(context->root));
  }
  RETURN_IF_ERROR(SyncDir(context->root));
  if (make) {
    RETURN_IF_ERROR(MakeSuperblock(executor, records));
    RETURN_IF_ERROR(WriteMarker(context->root, context->tmp));
  }
  ASSIGN_OR_RETURN(const Superblock superblock, ReadSuperblock(records, options.path));
  std::unique_ptr<FileStore> store(
      new FileStore(std::move(context), std::move(records), std::move(chunks)));
  store->info_ = {
      .name = options.name,
      .driver = options.in_memory ? "memory" : "file",
      .location = options.in_memory ? "memory" : fmt::format("{} ({})", options.path, facts.type),
      .uuid = superblock.store,
      .capabilities = facts.capabilities,
      .cache = facts.cache};
  store->in_memory_ = options.in_memory;
  store->sums_generation_ = sums;
  return store;
}

}  // namespace atl
