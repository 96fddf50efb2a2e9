// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/witnesses.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

namespace atl {
namespace {

FileId IdOf(const struct stat& info) { return {info.st_dev, info.st_ino}; }

Result<std::vector<FileId>> FindIds(const Dir& dir, const std::vector<std::string>& names) {
  std::vector<FileId> ids;
  for (const std::string& name : names) {
    struct stat info;
    if (sys::FstatAt(dir.get(), name.c_str(), &info) != 0) {
      return PosixError(errno, "stat", dir.PathOf(name));
    }
    ids.push_back(IdOf(info));
  }
  return ids;
}

struct NewWitness {
  FileId file;
  Fd description;
};

Result<NewWitness> OpenWitness(const Dir& dir, const std::string& name) {
  ASSIGN_OR_RETURN(Fd fd, OpenFileAt(dir, name, O_RDONLY));
  struct stat info;
  if (sys::Fstat(fd.get(), &info) != 0) return PosixError(errno, "stat", dir.PathOf(name));
  return NewWitness{IdOf(info), std::move(fd)};
}

}  // namespace

void Witnesses::Add(FileId file) {
  if (std::ranges::find(files_, file) == files_.end()) files_.push_back(file);
}

Task<Status> Witnesses::Ask(FileContext& context, const Dir& dir, std::vector<std::string> names) {
  if (context.witnesses == nullptr || context.witnesses->size() == 0) co_return OkStatus();
  const auto find = [&] { return FindIds(dir, names); };
  CO_ASSIGN_OR_RETURN(const auto ids, co_await context.executor.Offload(find));
  Status status;
  for (size_t i = 0; i < ids.size(); ++i) {
    const WitnessBox::Witness* witness = context.witnesses->Find(ids[i]);
    if (witness == nullptr) continue;
    Add(ids[i]);
    bool failed = witness->failed;
    if (!failed && witness->left.valid()) {
      // It tells this once.
      const auto ask = [fd = witness->left.get()] { return sys::AwaitWriteback(fd) != 0; };
      failed = co_await context.executor.Offload(ask);
      if (failed) (void)context.witnesses->NoteFailure(ids[i]);
    }
    if (failed && status.ok()) {
      status = {Code::kIo, fmt::format("{}: the disk has refused bytes that were written by a "
                                       "process that has died since",
                                       dir.PathOf(names[i]))};
    }
  }
  co_return status;
}

Task<void> Witnesses::Keep(FileContext& context, const Dir& dir, std::string name) {
  if (context.witnesses == nullptr) co_return;
  const auto open = [&] { return OpenWitness(dir, name); };
  auto witness = co_await context.executor.Offload(open);
  Status status = witness.status();
  if (status.ok()) {
    Add(witness->file);
    status = context.witnesses->Keep(witness->file, std::move(witness->description));
  }
  if (!status.ok() && !std::exchange(context.lacks_witnesses, true)) {
    spdlog::warn(
        "{}: if the disk refuses a write and this process dies, its successor may not "
        "notice: {}",
        context.name, status.ToString());
  }
}

void Witnesses::NoteFailure(FileContext& context) {
  for (const FileId file : files_) (void)context.witnesses->NoteFailure(file);
}

void Witnesses::Forget(FileContext& context) {
  for (const FileId file : files_) context.witnesses->Forget(file);
  files_.clear();
}

}  // namespace atl
