// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/log_set.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "peers/store/file/layout.h"
#include "peers/store/file/probe.h"
#include "peers/store/limits.h"

namespace atl {
namespace {

Status Missing(const LogId& id) { return {Code::kNotFound, id.ToString() + " is not there"}; }

}  // namespace

class LogSet::Use {
 public:
  explicit Use(Adopted* mine) : mine_(mine) { ++mine_->in_flight; }
  ~Use() {
    if (--mine_->in_flight == 0 && mine_->leaving) mine_->idle.NotifyAll();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Adopted* mine_;
};

LogSet::Adopted* LogSet::FindAdopted(const LogId& id) {
  const auto at = adopted_.find(id);
  return at == adopted_.end() || at->second->leaving ? nullptr : at->second.get();
}

Result<LogSet::Adopted*> LogSet::Mine(const LogId& id) {
  RETURN_IF_ERROR(context_.Alive());
  Adopted* mine = FindAdopted(id);
  if (!mine) {
    return Status(Code::kFenced, fmt::format("{}: {} is not adopted by this instance",
                                             context_.name, id.ToString()));
  }
  if (!mine->poison.ok()) return mine->poison;
  return mine;
}

void LogSet::Poison(Adopted* mine, const Status& status) {
  mine->poison = status.With("after a failed sync");
  mine->witnesses.NoteFailure(context_);
}

// Null: somebody holds it.
Result<std::unique_ptr<LogSet::Adopted>> LogSet::TryAdopt(const LogId& id) const {
  auto mine = std::make_unique<Adopted>();
  const std::string name = FileNameOf(id);
  mine->path = context_.logs.PathOf(name);
  const auto open = [&] { return OpenFileAt(context_.logs, name, O_RDWR | O_CREAT); };
  auto fd = WithReserve(const_cast<SpaceReserve&>(context_.reserve), open);
  if (fd.code() == Code::kPermission) {
    const auto sealed = OpenFileAt(context_.logs, name, O_RDONLY);
    if (sealed.ok() && IsImmutable(sealed->get())) {
      return Status(Code::kFenced, mine->path + " is sealed");
    }
  }
  if (!fd.ok()) return fd.status();
  mine->fd = *std::move(fd);
  ASSIGN_OR_RETURN(const bool locked, TryLock(mine->fd.get(), mine->path));
  if (!locked || !SameFile(mine->fd.get(), context_.logs, name)) {
    return std::unique_ptr<Adopted>();
  }
  struct stat info;
  if (sys::Fstat(mine->fd.get(), &info) != 0) return PosixError(errno, "fstat", mine->path);
  mine->end = static_cast<uint64_t>(info.st_size);
  return mine;
}

Task<Status> LogSet::Adopt(LogId id, int64_t wait_ns) {
  const Running running(context_);
  const int64_t deadline_ns = context_.executor.BootNs() + wait_ns;
  while (adopting_.contains(id)) co_await adopt_ended_;
  CO_RETURN_IF_ERROR(context_.Alive());
  while (adopted_.contains(id)) {
    if (FindAdopted(id)) co_return OkStatus();
    co_await adopted_[id]->idle;
  }
  if (const Status poison = given_up_.PoisonOf(id); !poison.ok()) {
    co_return Status(Code::kFenced, fmt::format("{}: {} was given up: {}", context_.name,
                                                id.ToString(), poison.message()));
  }
  adopting_.insert(id);
  Status status;
  for (int64_t pause_ns = kFirstAdoptPauseNs;;
       pause_ns = std::min(2 * pause_ns, kLastAdoptPauseNs)) {
    const auto work = [this, id] { return TryAdopt(id); };
    auto tried = co_await context_.executor.Offload(work);
    if (!tried.ok()) {
      status = tried.status();
      break;
    }
    if (*tried) {
      std::unique_ptr<Adopted> mine = *std::move(tried);
      const std::string name = FileNameOf(id);
      std::vector<std::string> names = {name};
      const Status told = co_await mine->witnesses.Ask(context_, context_.logs, std::move(names));
      if (!told.ok()) Poison(mine.get(), told);
      co_await mine->witnesses.Keep(context_, context_.logs, name);
      adopted_[id] = std::move(mine);
      break;
    }
    const int64_t left_ns = deadline_ns - context_.executor.BootNs();
    if (left_ns <= 0) {
      status = {Code::kBusy,
                fmt::format("{}: {} is held by another instance", context_.name, id.ToString())};
      break;
    }
    co_await context_.executor.Sleep(std::min(pause_ns, left_ns));
  }
  adopting_.erase(id);
  adopt_ended_.NotifyAll();
  co_return status;
}

Task<void> LogSet::Disown(LogId id) {
  const Running running(context_);
  Adopted* mine = FindAdopted(id);
  if (!mine) co_return;
  mine->leaving = true;
  while (mine->in_flight > 0) co_await mine->idle;
  const auto gone = std::move(adopted_[id]);
  adopted_.erase(id);
  given_up_.Leave(context_, id, gone->poison, std::move(gone->witnesses));
  gone->idle.NotifyAll();
}

Task<Status> LogSet::Seal(LogId id) {
  const Running running(context_);
  CO_RETURN_IF_ERROR(context_.Alive());
  if (context_.can.seal != SealKind::kImmutableFlag) {
    co_return Status(Code::kUnsupported, context_.name + ": this file system cannot seal");
  }
  const auto work = [this, id]() -> Status {
    const std::string name = FileNameOf(id), path = context_.logs.PathOf(name);
    auto fd = OpenFileAt(context_.logs, name, O_RDONLY);
    if (fd.code() == Code::kNotFound) fd = OpenFileAt(context_.logs, name, O_RDONLY | O_CREAT);
    if (!fd.ok()) return fd.status();
    RETURN_IF_ERROR(SetImmutable(fd->get(), true, path));
    RETURN_IF_ERROR(SyncFile(fd->get(), path));
    return SyncDir(context_.logs);
  };
  co_return co_await context_.executor.Offload(work);
}

Task<Status> LogSet::Remove(LogId id) {
  const Running running(context_);
  CO_RETURN_IF_ERROR(context_.Alive());
  co_await Disown(id);
  given_up_.Remove(context_, id);
  context_.SettleWitnesses();
  const auto work = [this, id]() -> Status {
    const std::string name = FileNameOf(id), path = context_.logs.PathOf(name);
    ASSIGN_OR_RETURN(const Fd fd, OpenForReading(id));
    if (IsImmutable(fd.get())) RETURN_IF_ERROR(SetImmutable(fd.get(), false, path));
    if (sys::UnlinkAt(context_.logs.get(), name.c_str(), 0) != 0) {
      return errno == ENOENT ? Missing(id) : PosixError(errno, "unlink", path);
    }
    context_.reserve.Refill();
    return {};
  };
  const Status status = co_await context_.executor.Offload(work);
  context_.SettleWitnesses();
  co_return status;
}

// --- Space ---------------------------------------------------------------------------------------

Task<Status> LogSet::Reserve(LogId id, uint64_t length) {
  CO_RETURN_IF_ERROR(CheckLogLength(id, length));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(id));
  const Running running(context_);
  const Use use(mine);
  if (length == 0) co_return OkStatus();
  const auto grow = [mine, length]() -> Status {
    if (sys::Fallocate(mine->fd.get(), FALLOC_FL_KEEP_SIZE, {0, length}) == 0) return {};
    return ChangeError(errno, "fallocate", mine->path);
  };
  const auto work = [this, grow] { return WithReserve(context_.reserve, grow); };
  co_return co_await context_.executor.Offload(work);
}

Task<Status> LogSet::Trim(LogId id, uint64_t length) {
  CO_RETURN_IF_ERROR(CheckLogLength(id, length));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(id));
  const Running running(context_);
  const Use use(mine);
  // An append between the look at the end and the cut would be cut off, after its answer.
  const auto guard = co_await mine->appending.Lock();
  const auto work = [this, mine, length, end = mine->end]() -> Status {
    // To the size that it has: only what lies behind the end is freed.
    if (sys::Ftruncate(mine->fd.get(), end) != 0) {
      return ChangeError(errno, "ftruncate", mine->path);
    }
    if (length > end &&
        sys::Fallocate(mine->fd.get(), FALLOC_FL_KEEP_SIZE, {end, length - end}) != 0) {
      return ChangeError(errno, "fallocate", mine->path);
    }
    context_.reserve.Refill();
    return {};
  };
  co_return co_await context_.executor.Offload(work);
}

Task<Result<uint64_t>> LogSet::Usage(LogId id) {
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  const auto work = [this, id]() -> Result<uint64_t> {
    ASSIGN_OR_RETURN(const Fd fd, OpenForReading(id));
    struct stat info;
    if (sys::Fstat(fd.get(), &info) != 0) {
      return PosixError(errno, "fstat", context_.logs.PathOf(FileNameOf(id)));
    }
    return static_cast<uint64_t>(info.st_blocks) * 512;
  };
  co_return co_await context_.executor.Offload(work);
}

// --- Bytes ---------------------------------------------------------------------------------------

Task<Status> LogSet::Append(LogId id, uint64_t position, ConstSpan data) {
  CO_RETURN_IF_ERROR(CheckLogIo(id, position, data.size()));
  CO_ASSIGN_OR_RETURN(Adopted* const mine, Mine(id));
  const Running running(context_);
  const Use use(mine);
  const auto guard = co_await mine->appending.Lock();
  if (position > mine->end) {
    co_return Status(Code::kInvalid, fmt::format("{}: an append at {} would leave a gap behind {}",
                                                 mine->path, position, mine->end));
  }
  size_t done = 0;
  while (true) {
    const int error = co_await WriteFully(context_, mine->fd.get(), position, data, false, &done);
    if (error == 0) break;
    if (error != ENOSPC) co_return ChangeError(error, "append to", mine->path);
    const auto work = [this] { return context_.reserve.GiveUpPiece(); };
    if (!co_await context_.executor.Offload(work)) {
      co_return PosixError(ENOSPC, "append to", mine->path);
    }
  }
  mine->end = std::max(mine->end, position + data.size());
  co_return OkStatus();
}

Task<Status> LogSet::Sync(LogId id) {
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  Adopted* const mine = FindAdopted(id);
  if (!mine) {
    CO_RETURN_IF_ERROR(given_up_.PoisonOf(id));
    const auto work = [this, id]() -> Status {
      ASSIGN_OR_RETURN(const Fd fd, OpenForReading(id));
      RETURN_IF_ERROR(SyncFile(fd.get(), context_.logs.PathOf(FileNameOf(id))));
      return SyncDir(context_.logs);
    };
    const Status status = co_await context_.executor.Offload(work);
    given_up_.NoteSync(id, status);
    co_return status;
  }
  const Use use(mine);
  const auto guard = co_await mine->syncing.Lock();
  CO_RETURN_IF_ERROR(mine->poison);
  const int error = co_await SyncData(context_, mine->fd.get());
  Status status;
  if (error != 0) status = PosixError(error, "fdatasync", mine->path);
  if (status.ok() && mine->entry_dirty) {
    const auto work = [this] { return SyncDir(context_.logs); };
    status = co_await context_.executor.Offload(work);
    mine->entry_dirty = !status.ok();
  }
  if (!status.ok()) Poison(mine, status);
  co_return status;
}

Result<Fd> LogSet::OpenForReading(const LogId& id) const {
  auto fd = OpenFileAt(context_.logs, FileNameOf(id), O_RDONLY);
  if (fd.code() == Code::kNotFound) return Missing(id);
  return fd;
}

Task<Result<size_t>> LogSet::Read(LogId id, uint64_t position, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckLogIo(id, position, out.size()));
  CO_RETURN_IF_ERROR(context_.Alive());
  const Running running(context_);
  // Logs are read when a volume is opened, in large pieces; they need no cache of descriptors.
  const auto work = [this, id] { return OpenForReading(id); };
  CO_ASSIGN_OR_RETURN(const Fd fd, co_await context_.executor.Offload(work));
  size_t got = 0;
  const int error = co_await ReadFully(context_, fd.get(), position, out, &got);
  if (error != 0) {
    co_return PosixError(error, "read", context_.logs.PathOf(FileNameOf(id)));
  }
  co_return got;
}

}  // namespace atl
