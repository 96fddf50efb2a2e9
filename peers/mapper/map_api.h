// SPDX-License-Identifier: Apache-2.0
//
// What the composer asks of the map of one open volume or snapshot. `VolumeMap` is the thing
// itself; between processes a stub stands for it.
//
// Translations stay right until the caller closes its own gate to Pin (or to Close): nothing else
// takes a source away from under a sub-grain, and the caller makes all other changes itself, by
// Commit. So a stub may keep them.
//
// Threads: one executor thread.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <optional>
#include <string>

#include "peers/format/header.h"
#include "peers/format/journal.h"
#include "peers/map/geometry.h"
#include "peers/store/store_set.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"

namespace atl {

enum class PieceKind : uint8_t {
  kZero,   // Reads as zero.
  kOwn,    // In the current blob: may be overwritten in place.
  kOther,  // In a frozen blob: read only.
};

// Where a part of the volume is: at the same offset of `blob` in the store at `slot`.
struct MapPiece {
  ByteRange range;
  PieceKind kind = PieceKind::kZero;
  StoreSlot slot = 0;
  BlobId blob;
};
using MapPieces = absl::InlinedVector<MapPiece, 4>;

// What one admission has room for: a discard with two edges makes so many commits.
inline constexpr uint32_t kCommitsAdmitted = 3;

struct MapGeometry {
  Uuid uuid;
  std::string name;
  bool writable = false;
  uint64_t size = 0;
  uint32_t logical_block = 512;
  uint32_t physical_block = 4096;
  StoreSlot slot = 0;  // Of the current blob.
  BlobId own;          // The current blob.
  uint32_t generation = 0;
  std::string read_only_reason;
};

// What a pin changes besides the journal and the generation.
struct PinChange {
  bool new_epoch = false;
  std::optional<uint64_t> new_size;
  // A snapshot of what is pinned; the map in it is filled in by Pin. Implies new_epoch.
  std::optional<PendingOperation> snapshot;
  // The opening ends in order: nothing in the write log counts any more.
  bool ends_opening = false;

  bool begins_epoch() const { return new_epoch || snapshot.has_value(); }
};

// True if a Pin that ended so changed nothing. Of the others: another node has the volume, or the
// volume has failed, or it is not known what has become of the call.
inline bool RefusedPin(const Status& status) {
  switch (status.code()) {
    case Code::kInvalid:
    case Code::kConflict:
    case Code::kBusy:
    case Code::kNoSpace:
    case Code::kIo:
    case Code::kCorrupt:
    case Code::kLimit:
    case Code::kPermission:
      return true;
    default:
      return false;
  }
}

class MapApi {
 public:
  virtual ~MapApi() = default;

  virtual const MapGeometry& geometry() const = 0;

  // Answers without suspending if it can: fills `out` with pieces that cover `range` in order.
  virtual bool TryTranslate(ByteRange range, MapPieces* out) = 0;
  virtual Task<Status> Translate(ByteRange range, MapPieces* out) = 0;

  // Space in the journal for kCommitsAdmitted commits; a request that makes more is admitted
  // several times. Waits while the journal is full; a pin makes room, so nobody waits here inside
  // of the gate.
  virtual bool TryAdmit() = 0;
  virtual Task<Status> Admit() = 0;
  virtual void Leave() = 0;

  // The range has been written to the current blob (kOwn) or reads as zero (kZero); the change is
  // stored when this ends.
  virtual Task<Status> Commit(GrainRange range, JournalChange change) = 0;
  // True if each mapping of the range is in the root or before a completed barrier.
  virtual bool IsBarriered(GrainRange range) = 0;

  // The end of the completed commits. A flush notes it, syncs the blob, then passes it to Barrier.
  virtual uint64_t NotePosition() = 0;
  // That end alone, without noting anything: what a server tells its stub.
  virtual uint64_t position() const = 0;
  // Makes all commits before `position` durable. The data that they speak of is durable already.
  virtual Task<Status> Barrier(uint64_t position) = 0;

  // The journal or the unfolded changes want to be checkpointed: pin soon.
  virtual bool wants_pin() const = 0;
  // Before the gate is closed: makes room for one more journal in the replay list, and all that the
  // pin will begin, so that within the gate one swap of the header is left to do. kFenced: another
  // node has the volume. After any other error nothing that is mapped has changed, and it may be
  // tried again.
  virtual Task<Status> PreparePin(PinChange change) = 0;
  // With the gate closed and everything flushed: the step by which what is mapped changes as a
  // whole. When it ends well the geometry is the new one. kConflict: not prepared, or others have
  // used it up since. After an error of RefusedPin nothing has changed; after any other it may have
  // been done, and what is mapped as kOwn may be frozen: no write and no commit may follow.
  virtual Task<Status> Pin(PinChange change) = 0;

  // Other changes of the header, each durable when it ends.
  virtual Task<Status> Grow(uint64_t size) = 0;
  virtual Task<Status> ClearPending(const Uuid& uuid) = 0;
  virtual Task<Status> SetName(const Uuid& name_space, std::string name) = 0;
  // `sync_failed`: as in the header.
  virtual Task<Status> SetReadOnly(std::string reason, bool sync_failed) = 0;
  // Nothing in the write log of this opening counts any more, and it has none from here on.
  virtual Task<Status> EndOpening() = 0;
  // The right to act is lost: nothing is written any more, and who waits hears why.
  virtual void Abandon(std::string reason) = 0;

  // Figures for `show`: the header as last written.
  virtual const Header& header() const = 0;

  // After everything in flight and a flush. Gives up what was adopted. The last call.
  virtual Task<Status> Close() = 0;
};

}  // namespace atl
