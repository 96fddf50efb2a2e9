// SPDX-License-Identifier: Apache-2.0
//
// Records of a file store: compare-and-swap over instances, processes and hosts that share a
// directory and nothing else, without locks, so that nobody can be stopped while holding one.
//
// A record is a directory D. Version n is the file `n`, never written again and never the name of
// other bytes: versions of a kind are not reused even after a removal (the floor sees to that).
// "Newest" is the highest number.
//
//   swap n -> n+1     1 read the newest, n, through a descriptor of D
//                     2 make a temporary in D
//                     3 list D: is n still the newest?                 no: lost
//                     4 write and sync the temporary, link it as n+1   EEXIST, ENOENT: lost
//                     5 list D: is n+1 the newest?                     no: lost, or won and
//                     replaced 6 sync D; unlink the temporary and what is older
//   create            the same with n = 0, the first version being floor + 1
//   remove n          raise the floor to n+1, swap n -> tombstone n+1; then clear
//   clear             unlink everything but the tombstone, until nothing else is seen; unlink the
//                     tombstone; rmdir D
//
// Why a stopped writer cannot bring back a removed record (attack R14). Let W pass step 3 for n.
// Its temporary was in D before the tombstone n+1 was linked, so the first listing of every `clear`
// sees it. W's link then happens (a) while the tombstone is there: EEXIST if W wants n+1, and if it
// wants less, step 5 sees the tombstone, or what came after, as a higher version, or nothing,
// because `clear` lists again and takes W's file away before the tombstone; or (b) later: the
// temporary is gone: ENOENT. A W that makes its temporary after the tombstone was linked does not
// pass step 3: it sees the tombstone, or a directory without n. So it does not matter whether D is
// the directory that W opened or one that was made anew.
//
// Why a stale `clear` harms nobody: it unlinks names, and neither versions nor temporaries are ever
// named again; its rmdir fails unless D is empty; a maker whose D vanishes starts again.
//
// An empty D is what damage looks like, and absence must not be made of damage. So whoever passes
// through an empty D on purpose (create, clear) first puts `<hex>.none` beside it; clear makes that
// durable, for D and what is beside it are different directories, and power loss keeps no order
// between these. (D itself is beside its marker, so a create needs no sync for that.)
//
// All functions block; they may run on any thread, several at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peers/store/file/durable_versions.h"
#include "peers/store/file/posix.h"
#include "peers/store/file/record_file.h"

namespace atl {

class RecordDirs {
 public:
  // Where tests stop a writer.
  enum class Step { kRead, kVerified, kLinked, kTombstoneLinked, kEmptied, kTombstoneUnlinked };
  using Hook = std::function<void(Step)>;

  // Makes what is missing of the directories below `root`.
  static Result<RecordDirs> Open(const Dir& root);

  Result<Record> Get(const RecordKey& key, ReadFor purpose) const;
  Result<uint64_t> Swap(const RecordKey& key, uint64_t expected, ConstSpan payload,
                        const Uuid& operation) const;
  Status Remove(const RecordKey& key, uint64_t version, const Uuid& operation) const;
  // Names that look like records, sorted. Some may be gone; see IsThere.
  Result<std::vector<RecordName>> List(RecordKind kind) const;
  // False if `Get` would answer kNotFound.
  bool IsThere(const RecordKey& key) const;
  Result<uint64_t> Sweep(bool dry_run) const;

  void set_hook(Hook hook) { hook_ = std::move(hook); }

 private:
  struct Kind {
    Dir records;
    Dir floors;
  };
  // What there is under a key. `dir` is unset: nothing.
  struct View {
    std::optional<Dir> dir;
    uint64_t version = 0;  // 0: a record is being made or was just cleared.
    RecordFile file;
    Fd fd;
    bool has_record() const { return version > 0 && !file.tombstone; }
    bool is_tombstone() const { return version > 0 && file.tombstone; }
  };
  // What became of one try to put a version.
  enum class Outcome { kWon, kLost };

  const Kind& KindOf(RecordKind kind) const { return kinds_[static_cast<size_t>(kind)]; }
  Result<View> Look(const RecordKey& key) const;
  Result<std::optional<View>> LookOnce(const RecordKey& key) const;
  Status MakeDurable(const RecordKey& key, const View& view) const;
  // The directory to make the first version in.
  Result<View> Begin(const RecordKey& key, View view) const;
  Result<Outcome> Put(const View& on, RecordFile& file) const;
  Result<Outcome> LinkTemp(const View& on, const TempFile& temp, const RecordFile& file) const;
  Status Settle(const RecordKey& key, const Dir& dir, uint64_t version) const;
  Status Clear(const RecordKey& key, const Dir& dir, uint64_t tombstone) const;
  Result<uint64_t> Floor(const Kind& kind) const;
  Status RaiseFloor(const Kind& kind, uint64_t version) const;
  Result<uint64_t> SweepTemps(const Dir& dir, bool dry_run) const;
  Result<uint64_t> SweepOne(const RecordKey& key, bool dry_run) const;
  Result<uint64_t> SweepMarkers(const Kind& kind, bool dry_run) const;
  void At(Step step) const {
    if (hook_) hook_(step);
  }

  std::vector<Kind> kinds_;  // By number of kind.
  std::shared_ptr<DurableVersions> durable_ = std::make_shared<DurableVersions>();
  Hook hook_;
};

}  // namespace atl
