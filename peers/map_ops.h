// SPDX-License-Identifier: Apache-2.0
//
// The operations of an open map (peers/mapper/map_api.h) between peers of one node, sent by the
// composer to the mapper; see peers/ops.h. A map belongs to the port that opened it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peers/mapper/map_api.h"
#include "peers/ops.h"
#include "peers/port_rpc/wire.h"
#include "peers/store_ops.h"

namespace atl {

// Runs of one answer at most, and of one that tells more than it was asked for.
inline constexpr size_t kMaxMapRuns = 16'000;
inline constexpr size_t kMaxWindowRuns = 512;
// Requests that one answer may admit.
inline constexpr uint32_t kMaxAdmitted = 256;

// Whatever is known of an open map after something about it has changed.
struct OpenMapState {
  uint64_t handle = 0;
  uint64_t version = 0;  // Grows with each such answer: an older one is void.
  MapGeometry geometry;
  Bytes header;           // As encoded in its record.
  uint64_t position = 0;  // The end of the completed commits.
  bool wants_pin = false;
};

struct MapOpenOp {
  using Wire = WireRow<Op::kMapOpen, OpenMapState, Repeat::kUnsafe>;
  StoreSlot home = 0;
  Uuid uuid;
  bool writable = false;
  // Of a volume that a mapper which has died had open for us: its generation when we last heard of
  // it, and how many requests of ours are inside. 0: it is opened for the first time.
  uint32_t generation = 0;
  uint32_t admitted = 0;
};

// A source that runs refer to by its place in the list; place 0 is zeros and is not listed.
struct MapSource {
  PieceKind kind = PieceKind::kOther;
  StoreSlot slot = 0;
  BlobId blob;
};
struct MapRun {
  uint64_t grains = 0;
  uint16_t source = 0;
};
struct MapRuns {
  uint64_t first = 0;  // The sub-grain at which they begin; they have no gaps.
  std::vector<MapSource> sources;
  std::vector<MapRun> runs;
};
// Answers for a prefix of `range`, or for all of `window` if that is known and not much.
struct MapTranslateOp {
  using Wire = WireRow<Op::kMapTranslate, MapRuns, Repeat::kHarmless>;
  uint64_t handle = 0;
  GrainRange range;
  GrainRange window;
};

// Room in the journal for requests: `leave` are over and made changes, `want` shall come. Waits
// until there is room for one.
struct MapAdmitted {
  uint32_t count = 0;
};
struct MapAdmitOp {
  using Wire = WireRow<Op::kMapAdmit, MapAdmitted, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint32_t leave = 0;
  uint32_t want = 0;
};

struct MapCommitted {
  uint32_t admitted = 0;
  uint64_t position = 0;
  bool wants_pin = false;
};
struct MapCommitOp {  // Exchanges room as MapAdmitOp does, without waiting.
  using Wire = WireRow<Op::kMapCommit, MapCommitted, Repeat::kUnsafe>;
  uint64_t handle = 0;
  GrainRange range;
  JournalChange change = JournalChange::kOwn;
  uint32_t leave = 0;
  uint32_t want = 0;
};
struct MapBarrierOp {
  using Wire = WireRow<Op::kMapBarrier, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t position = 0;
};
struct MapPreparePinOp {
  using Wire = WireRow<Op::kMapPreparePin, Nothing, Repeat::kHarmless>;
  uint64_t handle = 0;
  PinChange change;
};
struct MapPinOp {
  using Wire = WireRow<Op::kMapPin, OpenMapState, Repeat::kUnsafe>;
  uint64_t handle = 0;
  PinChange change;
};
struct MapGrowOp {
  using Wire = WireRow<Op::kMapGrow, OpenMapState, Repeat::kHarmless>;
  uint64_t handle = 0;
  uint64_t size = 0;
};
struct MapClearPendingOp {
  using Wire = WireRow<Op::kMapClearPending, OpenMapState, Repeat::kHarmless>;
  uint64_t handle = 0;
  Uuid uuid;
};
struct MapSetNameOp {
  using Wire = WireRow<Op::kMapSetName, OpenMapState, Repeat::kHarmless>;
  uint64_t handle = 0;
  Uuid name_space;
  std::string name;
};
struct MapSetReadOnlyOp {
  using Wire = WireRow<Op::kMapSetReadOnly, OpenMapState, Repeat::kHarmless>;
  uint64_t handle = 0;
  std::string reason;
  bool sync_failed = false;
};
struct MapEndOpeningOp {
  using Wire = WireRow<Op::kMapEndOpening, OpenMapState, Repeat::kHarmless>;
  uint64_t handle = 0;
};
struct MapAbandonOp {
  using Wire = WireRow<Op::kMapAbandon, Nothing, Repeat::kHarmless>;
  uint64_t handle = 0;
  std::string reason;
};
struct MapCloseOp {
  using Wire = WireRow<Op::kMapClose, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
};

// Said by the supervisor to each peer that keeps something for another: that one has died.
struct PeerGoneOp {
  using Wire = WireRow<Op::kPeerGone, Nothing, Repeat::kHarmless>;
  uint16_t port = 0;
};

using MapOps = OpList<MapOpenOp, MapTranslateOp, MapAdmitOp, MapCommitOp, MapBarrierOp,
                      MapPreparePinOp, MapPinOp, MapGrowOp, MapClearPendingOp, MapSetNameOp,
                      MapSetReadOnlyOp, MapEndOpeningOp, MapAbandonOp, MapCloseOp, PeerGoneOp>;

// --- Answers that usually need more room than a slot ---------------------------------------------

// A state is a header and some: it must fit at once, for a pin cannot be repeated.
inline constexpr size_t kMapStateRoom = 16 * kKiB;
static_assert(kMapStateRoom > kMaxHeaderBytes + 2 * kMaxReadOnlyReason + 1024);
template <>
inline constexpr size_t kReplyRoom<MapOpenOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapPinOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapGrowOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapClearPendingOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapSetNameOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapSetReadOnlyOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapEndOpeningOp> = kMapStateRoom;
template <>
inline constexpr size_t kReplyRoom<MapTranslateOp> = 4 * kKiB;

// --- Field lists, in the order of the wire -------------------------------------------------------

constexpr bool IsValid(PieceKind kind) { return kind <= PieceKind::kOther; }
constexpr bool IsValid(JournalChange change) {
  return change == JournalChange::kOwn || change == JournalChange::kZero;
}
constexpr bool IsValid(PendingKind kind) {
  return kind >= PendingKind::kSnapshot && kind <= PendingKind::kRollback;
}

// clang-format off
template <typename V> void Fields(V& v, GrainRange& x) { v(x.first, x.count); }
template <typename V> void Fields(V& v, MapGeometry& x) {
  v(x.uuid, x.name, x.writable, x.size, x.logical_block, x.physical_block, x.slot, x.own,
    x.generation, x.read_only_reason);
}
template <typename V> void Fields(V& v, OpenMapState& x) {
  v(x.handle, x.version, x.geometry, x.header, x.position, x.wants_pin);
}
// The map in it is filled in by the pin.
template <typename V> void Fields(V& v, PendingOperation& x) {
  v(x.kind, x.uuid, x.name, x.size, x.time_ns);
}
template <typename V> void Fields(V& v, PinChange& x) {
  v(x.new_epoch, x.new_size, x.snapshot, x.ends_opening);
}
template <typename V> void Fields(V& v, MapOpenOp& x) {
  v(x.home, x.uuid, x.writable, x.generation, x.admitted);
}
template <typename V> void Fields(V& v, MapSource& x) { v(x.kind, x.slot, x.blob); }
template <typename V> void Fields(V& v, MapRun& x) { v(x.grains, x.source); }
template <typename V> void Fields(V& v, MapRuns& x) { v(x.first, x.sources, x.runs); }
template <typename V> void Fields(V& v, MapTranslateOp& x) { v(x.handle, x.range, x.window); }
template <typename V> void Fields(V& v, MapAdmitted& x) { v(x.count); }
template <typename V> void Fields(V& v, MapAdmitOp& x) { v(x.handle, x.leave, x.want); }
template <typename V> void Fields(V& v, MapCommitted& x) {
  v(x.admitted, x.position, x.wants_pin);
}
template <typename V> void Fields(V& v, MapCommitOp& x) {
  v(x.handle, x.range, x.change, x.leave, x.want);
}
template <typename V> void Fields(V& v, MapBarrierOp& x) { v(x.handle, x.position); }
template <typename V> void Fields(V& v, MapPreparePinOp& x) { v(x.handle, x.change); }
template <typename V> void Fields(V& v, MapPinOp& x) { v(x.handle, x.change); }
template <typename V> void Fields(V& v, MapGrowOp& x) { v(x.handle, x.size); }
template <typename V> void Fields(V& v, MapClearPendingOp& x) { v(x.handle, x.uuid); }
template <typename V> void Fields(V& v, MapSetNameOp& x) { v(x.handle, x.name_space, x.name); }
template <typename V> void Fields(V& v, MapSetReadOnlyOp& x) {
  v(x.handle, x.reason, x.sync_failed);
}
template <typename V> void Fields(V& v, MapEndOpeningOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, MapAbandonOp& x) { v(x.handle, x.reason); }
template <typename V> void Fields(V& v, MapCloseOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, PeerGoneOp& x) { v(x.port); }
// clang-format on

}  // namespace atl
