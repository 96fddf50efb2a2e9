// SPDX-License-Identifier: Apache-2.0
//
// What each store of an isolated node has adopted, in a memory file that all processes of the node
// hold: so the supervisor's successor knows it, too, even if that store has died with him.
//
//   bytes 0 to 7   where the entries begin
//   then           entries, one after the other: length (u32), and the fields of Entry
//   (peers/codec.h)
//
// An entry is written in one piece and counts once it is whole. When much of the file is void, all
// that counts is written once more behind the end, and then the beginning is moved there; so it
// makes no difference when the process that does this is killed.
//
// Threads: one process writes, on one thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "peers/store_ops.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

class Ledger {
 public:
  // The peer of a store -> what it has adopted.
  using Holdings = std::map<std::string, std::set<Holding>>;

  static Result<Ledger> Create();
  // Of a file that another process has made, which no longer writes; kCorrupt if it is none. What
  // does not count is cut off.
  static Result<Ledger> Load(Fd fd);

  int fd() const { return fd_.get(); }
  const std::set<Holding>& of(const std::string& store) { return holdings_[store]; }
  Status Note(const std::string& store, const Holding& what);
  Status Drop(const std::string& store, const Holding& what);

 private:
  explicit Ledger(Fd fd) : fd_(std::move(fd)) {}
  Status Append(const std::string& store, const Holding& what, bool held);
  Status WriteAt(uint64_t offset, ConstSpan bytes) const;
  Status Compact();
  Status Read();

  Fd fd_;
  Holdings holdings_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

}  // namespace atl
