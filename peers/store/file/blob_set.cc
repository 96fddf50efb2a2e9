// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/blob_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "peers/store/file/direct_io.h"
#include "peers/store/file/layout.h"
#include "peers/store/limits.h"

namespace atl {
namespace {

Status Sealed(const Status& status) {
  if (status.code() != Code::kPermission) return status;
  return {Code::kFenced, std::string(status.message())};
}

}  // namespace

BlobSet::Adopted* BlobSet::FindAdopted(const BlobId& id) {
  const auto at = adopted_.find(id);
  return at == adopted_.end() || at->second->leaving ? nullptr : at->second.get();
}

Result<BlobSet::Adopted*> BlobSet::Mine(const BlobId& id) {
  RETURN_IF_ERROR(context_.Alive());
  Adopted* mine = FindAdopted(id);
  if (!mine) {
    return Status(Code::kFenced, fmt::format("{}: blob {} is not adopted by this instance",
                                             context_.name, id.ToString()));
  }
  if (!mine->poison.ok()) return mine->poison;
  return mine;
}

void BlobSet::MarkDirty(Adopted* mine, OpenFile* file) {
  file->dirty = true;
  mine->dirty.set(file->key.index);
}

// --- Who may write -------------------------------------------------------------------------------

Task<Status> BlobSet::Adopt(BlobId id, int64_t wait_ns) {
  const Running running(context_);
  const int64_t deadline_ns = context_.executor.BootNs() + wait_ns;
  // Two descriptions of one instance would wait for each other.
  while (adopting_.contains(id)) co_await adopt_ended_;
  CO_RETURN_IF_ERROR(context_.Alive());
  while (adopted_.contains(id)) {
    if (FindAdopted(id)) co_return OkStatus();
    co_await adopted_[id]->idle;
  }
  if (const Status poison = given_up_.PoisonOf(id); !poison.ok()) {
    co_return Status(Code::kFenced, fmt::format("{}: blob {} was given up: {}", context_.name,
                                                id.ToString(), poison.message()));
  }
  adopting_.insert(id);
  Status status;
  for (int64_t pause_ns = kFirstAdoptPauseNs;;
       pause_ns = std::min(2 * pause_ns, kLastAdoptPauseNs)) {
    // A directory of its own is no data: a full store can still begin an epoch, and remove.
    const auto adopt = [this, id] { return TryAdoptBlob(context_.blobs, id); };
    const auto work = [this, adopt] { return WithReserve(context_.reserve, adopt); };
    auto tried = co_await context_.executor.Offload(work);
    if (!tried.ok()) {
      status = tried.status();
      break;
    }
    if (*tried) {
      auto mine = std::make_unique<Adopted>();
      mine->blob = *std::move(*tried);
      mine->path = mine->blob.dir.path;
      // What earlier instances wrote may not be durable either.
      mine->dirty = mine->blob.files;
      co_await AskWitnesses(mine.get());
      adopted_[id] = std::move(mine);
      break;
    }
    const int64_t left_ns = deadline_ns - context_.executor.BootNs();
    if (left_ns <= 0) {
      status = {Code::kBusy, fmt::format("{}: blob {} is held by another instance", context_.name,
                                         id.ToString())};
      break;
    }
    co_await context_.executor.Sleep(std::min(pause_ns, left_ns));
  }
  adopting_.erase(id);
  adopt_ended_.NotifyAll();
  co_return status;
}

// Bytes may be lost that a process before this one has acknowledged.
Task<void> BlobSet::AskWitnesses(Adopted* mine) {
  std::vector<std::string> names;
  for (uint32_t index = 0; index < kMaxBlobFiles; ++index) {
    if (mine->blob.files.test(index)) names.push_back(std::to_string(index));
  }
  const Status status = co_await mine->witnesses.Ask(context_, mine->blob.dir, std::move(names));
  if (!status.ok()) (void)Poison(mine, status);
}

Task<void> BlobSet::Disown(BlobId id) {
  const Running running(context_);
  Adopted* mine = FindAdopted(id);
  if (!mine) co_return;
  mine->leaving = true;
  while (mine->in_flight > 0) co_await mine->idle;
  table_.CloseAll(id, true);
  const auto gone = std::move(adopted_[id]);
  adopted_.erase(id);
  given_up_.Leave(context_, id, gone->poison, std::move(gone->witnesses));
  gone->idle.NotifyAll();
}

Task<Status> BlobSet::Seal(BlobId id) {
  const Running running(context_);
  CO_RETURN_IF_ERROR(context_.Alive());
  if (context_.can.seal != SealKind::kImmutableFlag) {
    co_return Status(Code::kUnsupported, context_.name + ": this file system cannot seal");
  }
  const auto work = [this, id] { return SealBlobDir(context_.blobs, id); };
  co_return co_await context_.executor.Offload(work);
}

Task<Status> BlobSet::Remove(BlobId id) {
  const Running running(context_);
  CO_RETURN_IF_ERROR(context_.Alive());
  co_await Disown(id);
  given_up_.Remove(context_, id);
  table_.CloseAll(id, false);
  context_.SettleWitnesses();
  const auto work = [this, id] {
    const Status status = RemoveBlobDir(context_.blobs, context_.tmp, id);
    if (status.ok()) context_.reserve.Refill();
    return status;
  };
  const Status status = co_await context_.executor.Offload(work);
  context_.SettleWitnesses();
  co_return status;
}

Task<void> BlobSet::CloseAll() {
  co_await views_.Join();
  adopted_.clear();
  table_.Clear();
}

// --- Open files ----------------------------------------------------------------------------------

OpenFile* BlobSet::FindReadable(const BlobId& id, uint32_t index, const Adopted* mine) {
  const FileKey key{.blob = id, .index = index, .writable = true};
  if (OpenFile* file = mine ? table_.Find(key) : nullptr) return file;
  return table_.Find({.blob = id, .index = index, .writable = false});
}

// Any thread.
Status BlobSet::ChooseCache(int fd, const std::string& path) const {
  if (!context_.direct || sys::SetDirect(fd) == 0) return {};
  return PosixError(errno, "direct I/O on", path);
}

Task<Result<Pin>> BlobSet::OpenForReading(BlobId id, uint32_t index, const Adopted* mine) {
  const auto work = [this, id, index]() -> Result<std::optional<Fd>> {
    ASSIGN_OR_RETURN(const Dir dir, OpenBlobDir(context_.blobs, id));
    ASSIGN_OR_RETURN(std::optional<Fd> fd, OpenBlobFileForReading(dir, index));
    if (fd) RETURN_IF_ERROR(ChooseCache(fd->get(), dir.path));
    return fd;
  };
  CO_ASSIGN_OR_RETURN(std::optional<Fd> fd, co_await context_.executor.Offload(work));
  // Somebody may have been quicker.
  if (OpenFile* file = FindReadable(id, index, mine)) co_return Pin(file);
  if (!fd) co_return Pin();
  co_return Pin(table_.Insert({.blob = id, .index = index, .writable = false}, *std::move(fd)));
}

Task<Result<Pin>> BlobSet::OpenForWriting(BlobId id, Adopted* mine, uint32_t index) {
  const auto guard = co_await mine->opening.Lock();
  const FileKey key{.blob = id, .index = index, .writable = true};
  if (OpenFile* file = table_.Find(key)) co_return Pin(file);
  co_await SyncOldest();
  const bool fresh = !mine->blob.files.test(index);
  const auto work = [this, mine, index]() -> Result<Fd> {
    ASSIGN_OR_RETURN(Fd fd, OpenBlobFileForWriting(mine->blob, index));
    RETURN_IF_ERROR(ChooseCache(fd.get(), mine->path));
    return fd;
  };
  auto opened = co_await context_.executor.Offload(work);
  // It syncs the directory, and a disk that has refused that says so once.
  if (fresh && opened.code() == Code::kIo) (void)Poison(mine, opened.status());
  CO_ASSIGN_OR_RETURN(Fd fd, std::move(opened));
  if (fresh) ++mine->entries_made;
  mine->blob.files.set(index);
  co_await mine->witnesses.Keep(context_, mine->blob.dir, std::to_string(index));
  co_return Pin(table_.Insert(key, std::move(fd)));
}

// --- Reading -------------------------------------------------------------------------------------

Task<Status> BlobSet::Read(BlobId id, uint64_t offset, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckIo(id, offset, out.size()));
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  Adopted* const mine = FindAdopted(id);
  const Use use(mine);  // It may read through a locked descriptor.
  while (true) {
    const FilePart part = FirstPart(offset, out.size());
    Pin file(FindReadable(id, part.index, mine));
    if (!file) {
      CO_ASSIGN_OR_RETURN(file, co_await OpenForReading(id, part.index, mine));
    }
    const MutSpan piece = out.first(part.length);
    if (file) {
      size_t got = 0;
      const int error = context_.direct
                            ? co_await ReadDirect(context_, file.fd(), part.offset, piece, &got)
                            : co_await ReadFully(context_, file.fd(), part.offset, piece, &got);
      if (error != 0) {
        const std::string path = context_.blobs.PathOf(FileNameOf(id));
        co_return PosixError(error, "read", fmt::format("{}/{}", path, part.index));
      }
    } else {
      std::ranges::fill(piece, std::byte{0});
    }
    out = out.subspan(part.length);
    if (out.empty()) co_return OkStatus();
    offset += part.length;
  }
}

OpenFile* BlobSet::FindCached(const BlobId& id, uint64_t offset, size_t length, ByteRange* range) {
  if (context_.direct || context_.closed || !CheckIo(id, offset, length).ok()) return nullptr;
  const FilePart part = FirstPart(offset, length);
  if (part.length != length) return nullptr;
  *range = {part.offset, part.length};
  return FindReadable(id, part.index, FindAdopted(id));
}

bool BlobSet::TryRead(const BlobId& id, uint64_t offset, MutSpan out) {
  ByteRange range;
  OpenFile* file = FindCached(id, offset, out.size(), &range);
  return file != nullptr && ReadCached(views_, file, range.offset, out);
}

ConstSpan BlobSet::TryView(const BlobId& id, uint64_t offset, size_t length) {
  ByteRange range;
  OpenFile* file = FindCached(id, offset, length, &range);
  if (file == nullptr) return {};
  FileView* view = views_.Find(file, range);
  return view != nullptr ? view->Get(range.offset, length) : ConstSpan();
}

Task<Result<std::vector<BlobExtent>>> BlobSet::Extents(BlobId id, ByteRange range) {
  CO_RETURN_IF_ERROR(CheckRange(id, range));
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  const auto work = [this, id, range] { return BlobExtents(context_.blobs, id, range); };
  CO_ASSIGN_OR_RETURN(auto extents, co_await context_.executor.Offload(work));
  if (context_.can.extents == Support::kNone && !range.empty()) {
    extents = {BlobExtent{.range = range, .kind = ExtentKind::kData}};
  }
  co_return extents;
}

Task<Result<uint64_t>> BlobSet::Usage(BlobId id) {
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  const auto work = [this, id] { return BlobUsage(context_.blobs, id); };
  co_return co_await context_.executor.Offload(work);
}

// --- Writing -------------------------------------------------------------------------------------

Task<Status> BlobSet::Write(BlobId id, uint64_t offset, ConstSpan data, WriteOptions options) {
  CO_RETURN_IF_ERROR(CheckIo(id, offset, data.size()));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(id));
  const Running running(context_);
  const Use use(mine);
  while (!data.empty()) {
    const FilePart part = FirstPart(offset, data.size());
    Pin file(table_.Find({.blob = id, .index = part.index, .writable = true}));
    if (!file) {
      CO_ASSIGN_OR_RETURN(file, co_await OpenForWriting(id, mine, part.index));
    }
    size_t done = 0;
    const ConstSpan piece = data.first(part.length);
    const int error = context_.direct
                          ? co_await WriteDirect(context_, mine->edges, file.fd(), part.offset,
                                                 piece, options.data_sync, &done)
                          : co_await WriteFully(context_, file.fd(), part.offset, piece,
                                                options.data_sync, &done);
    MarkDirty(mine, file.get());
    if (error != 0) {
      const Status status =
          ChangeError(error, "write", fmt::format("{}/{}", mine->path, part.index));
      // The bytes may lie in the cache while the disk has refused them.
      co_return options.data_sync&& status.code() == Code::kIo ? Poison(mine, status) : status;
    }
    data = data.subspan(part.length);
    offset += part.length;
  }
  // Also if somebody else syncs them right now: what he has not ended is not durable.
  if (options.data_sync && mine->entries_synced < mine->entries_made) {
    co_return co_await SyncEntries(mine);
  }
  co_return OkStatus();
}

bool BlobSet::TryWrite(const BlobId& id, uint64_t offset, ConstSpan data) {
  if (context_.direct || data.size() > kInlineWrite || !CheckIo(id, offset, data.size()).ok())
    return false;
  const Result<Adopted*> mine = Mine(id);
  const FilePart part = FirstPart(offset, data.size());
  if (!mine.ok() || part.length != data.size()) return false;
  OpenFile* file = table_.Find({.blob = id, .index = part.index, .writable = true});
  if (file == nullptr) return false;
  const ssize_t put = WriteCached(file->fd.get(), part.offset, data);
  MarkDirty(*mine, file);
  return put == static_cast<ssize_t>(data.size());
}

Task<int> BlobSet::ChangeRange(int fd, int mode, ByteRange range) {
  while (true) {
    const int result = co_await sys::Fallocate(context_.ring(), fd, mode, range);
    if (result != -EINTR && result != -EAGAIN) co_return -result;
  }
}

Task<Status> BlobSet::ZeroPart(BlobId id, Adopted* mine, uint32_t index, ByteRange part,
                               ZeroOptions options) {
  CO_ASSIGN_OR_RETURN(const Pin file, co_await OpenForWriting(id, mine, index));
  const std::string path = fmt::format("{}/{}", mine->path, index);
  const int mode =
      options.keep_allocated ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int error = co_await ChangeRange(file.fd(), mode, part);
  MarkDirty(mine, file.get());
  if (error != EOPNOTSUPP) co_return ChangeError(error, "zero", path);
  if (options.fast_only) {
    co_return Status(Code::kUnsupported, path + ": no fast way to zero on this file system");
  }
  const int fd = file.fd();
  const auto work = [fd, part, path, keep = options.keep_allocated] {
    return keep ? WriteZeros(fd, part, path) : PunchFileRange(fd, part, path);
  };
  co_return Sealed(co_await context_.executor.Offload(work));
}

Task<Status> BlobSet::Zero(BlobId id, ByteRange range, ZeroOptions options) {
  CO_RETURN_IF_ERROR(CheckRange(id, range));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(id));
  const Running running(context_);
  const Use use(mine);
  while (!range.empty()) {
    const FilePart part = FirstPart(range.offset, range.length);
    // Where there is no file there are zeros, and no space.
    if (options.keep_allocated || mine->blob.files.test(part.index)) {
      const ByteRange in_file{part.offset, part.length};
      CO_RETURN_IF_ERROR(co_await ZeroPart(id, mine, part.index, in_file, options));
    }
    range = {range.offset + part.length, range.length - part.length};
  }
  co_return OkStatus();
}

Task<Status> BlobSet::Copy(BlobId from, BlobId to, ByteRange range) {
  CO_RETURN_IF_ERROR(CheckRange(to, range));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(to));
  const Running running(context_);
  Adopted* const from_mine = FindAdopted(from);
  const Use use(mine), source_use(from_mine);
  const auto look = [this, from] { return OpenBlobDir(context_.blobs, from).status(); };
  if (from == to) co_return co_await context_.executor.Offload(look);
  while (!range.empty()) {
    const FilePart part = FirstPart(range.offset, range.length);
    Pin source(FindReadable(from, part.index, from_mine));
    if (!source) {
      CO_ASSIGN_OR_RETURN(source, co_await OpenForReading(from, part.index, from_mine));
    }
    if (source || mine->blob.files.test(part.index)) {
      CO_ASSIGN_OR_RETURN(const Pin target, co_await OpenForWriting(to, mine, part.index));
      const int in = source ? source.fd() : -1, out = target.fd();
      const std::string path = fmt::format("{}/{}", mine->path, part.index);
      const auto work = [in, out, part, path] {
        return CopyFileRange(in, out, {part.offset, part.length}, path);
      };
      const Status status = co_await context_.executor.Offload(work);
      MarkDirty(mine, target.get());
      if (!status.ok()) co_return Sealed(status);
    }
    range = {range.offset + part.length, range.length - part.length};
  }
  co_return OkStatus();
}

}  // namespace atl
