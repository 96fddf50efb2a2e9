// SPDX-License-Identifier: Apache-2.0
//
// The logs of one file store instance: one file each in logs/. A log that is adopted is open and
// locked. A failed sync poisons it like a blob.
//
// Threads: the executor's.
#pragma once

#include <memory>
#include <set>
#include <unordered_map>

#include "peers/store/file/context.h"
#include "peers/store/file/given_up.h"

namespace atl {

class LogSet {
 public:
  explicit LogSet(FileContext& context) : context_(context) {}

  Task<Status> Adopt(LogId id, int64_t wait_ns);
  Task<void> Disown(LogId id);
  Task<Status> Seal(LogId id);
  Task<Status> Reserve(LogId id, uint64_t length);
  Task<Status> Append(LogId id, uint64_t position, ConstSpan data);
  Task<Status> Sync(LogId id);
  Task<Result<size_t>> Read(LogId id, uint64_t position, MutSpan out);
  Task<Status> Trim(LogId id, uint64_t length);
  Task<Result<uint64_t>> Usage(LogId id);
  Task<Status> Remove(LogId id);

  void CloseAll() { adopted_.clear(); }

 private:
  struct Adopted {
    Fd fd;
    std::string path;
    uint64_t end = 0;
    bool entry_dirty = true;
    Status poison;
    Witnesses witnesses;
    uint64_t in_flight = 0;
    bool leaving = false;
    Signal idle;
    Mutex appending;  // Appends go one after the other; so do cuts.
    Mutex syncing;
  };
  class Use;

  Adopted* FindAdopted(const LogId& id);
  Result<Adopted*> Mine(const LogId& id);
  Result<std::unique_ptr<Adopted>> TryAdopt(const LogId& id) const;
  void Poison(Adopted* mine, const Status& status);
  Result<Fd> OpenForReading(const LogId& id) const;

  FileContext& context_;
  std::unordered_map<LogId, std::unique_ptr<Adopted>> adopted_;
  GivenUp<LogId> given_up_;
  std::set<LogId> adopting_;
  Signal adopt_ended_;
};

}  // namespace atl
