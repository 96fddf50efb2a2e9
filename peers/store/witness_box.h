// SPDX-License-Identifier: Apache-2.0
//
// Witnesses of files: for each file that a process writes to, an open file description that nobody
// writes through and nobody syncs. The kernel tells each description once that it could not write
// bytes of the file back (fsync(2), "errors"). So who takes the place of a process that was told
// so, and died before it could say it, hears it from the witness, where a description of its own
// would know nothing: its sync would succeed, over bytes that are lost (docs/attacks.md, S13).
//
// They outlive the process in a box: a pair of connected sockets, in which they lie as messages
// that are not yet received. All processes of the node hold its two ends; one of them at a time
// uses it.
//
// Also for failures that the kernel does not keep, as of a disk's cache that could not be flushed:
// NoteFailure.
//
// Threads: one. Library: atoll_store.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

// Which file it is, as stat(2) says. A witness keeps the number from being given to another file.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

class WitnessBox {
 public:
  struct Ends {
    Fd put, take;
  };
  // Descriptors of its own for both ends.
  static Result<Ends> Duplicate(int put, int take);
  // An empty one. The node makes them, and hands both ends to all of its processes.
  static Result<Ends> Make();

  // Takes over what is in it. kCorrupt if that makes no sense.
  static Result<std::unique_ptr<WitnessBox>> Open(Ends ends);

  struct Witness {
    Fd left;              // From a process before this one: to be asked. It answers once.
    bool failed = false;  // A sync of the file has failed.
  };
  // Null: the file has none. Until the next call of something that changes.
  const Witness* Find(FileId file) const;

  // From now on `description` is the witness of the file; an older one stays.
  Status Keep(FileId file, Fd description);
  // Who comes after this process will find it so.
  Status NoteFailure(FileId file);
  // Nobody will ask any more. The description lies in the box until Settle, or until there are
  // many.
  void Forget(FileId file);
  // Closes what was forgotten, and what processes before this one have left of files that were
  // removed, so that their space becomes free. If there was something, that costs three system
  // calls for each witness that stays.
  Status Settle();

  size_t size() const { return witnesses_.size(); }

 private:
  explicit WitnessBox(Ends ends) : ends_(std::move(ends)) {}
  // Takes each message out that is in the box now, and puts those behind that are to stay.
  Status GoRound(bool opening);

  Ends ends_;
  std::map<FileId, Witness> witnesses_;
  uint64_t void_messages_ = 0;
};

}  // namespace atl
