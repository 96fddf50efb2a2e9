// SPDX-License-Identifier: Apache-2.0
//
// The protocol on one page: every operation that crosses from one process to another, what it
// carries, what it answers, and whether a sender that lost the answer may simply send it again.
// Bytes follow from the field lists by peers/codec.h; frames are described in peers/client/frame.h.
//
// To add an operation: a number (append only, never reuse), a struct with its `Wire` row and its
// fields, a place in `ControlOps`, and a handler in peers/client/control_session.cc, without which
// it does not link. Change no field list: a changed operation is a new operation.
//
// Operations that only peers of one node send to each other, over ports, have their numbers here
// and their structs in pages of their own; all peers of a node are of one version.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/device.h"
#include "peers/client/node_control.h"
#include "peers/codec.h"

namespace atl {

enum class Op : uint16_t {
  // Volumes.
  kCreate = 1,
  kSnapshot = 2,
  kShow = 3,
  kList = 4,
  kResize = 5,
  kRename = 6,
  kRemove = 7,
  kRollback = 8,
  kAcquire = 9,
  kRelease = 10,
  kGetLock = 11,
  kBreakLock = 12,
  kStores = 13,
  kCollectGarbage = 14,
  kStats = 15,
  kCheck = 16,
  kScrub = 17,
  // Devices.
  kOpen = 32,
  kCloseDevice = 33,
  kRead = 34,
  kWrite = 35,
  kFlush = 36,
  kDiscard = 37,
  kWriteZeroes = 38,
  kExtents = 39,
  kPrefetch = 40,
  kDeviceInfo = 41,
  kWriteSparse = 42,
  // The node.
  kNodeStatus = 64,
  kNodeStop = 65,
  kRestartPeer = 66,
  kReport = 67,
  // Stores, between peers of one node (peers/store_ops.h).
  kStoreInfo = 128,
  kStoreCapacity = 129,
  kStoreAdopt = 130,
  kStoreAdoptLog = 131,
  kStoreDisown = 132,
  kStoreDisownLog = 133,
  kStoreSeal = 134,
  kStoreSealLog = 135,
  kStoreRead = 136,
  kStoreWrite = 137,
  kStoreZero = 138,
  kStorePunch = 139,
  kStoreSync = 140,
  kStoreExtents = 141,
  kStoreUsage = 142,
  kStoreCopy = 143,
  kStoreRemove = 144,
  kStoreListBlobs = 145,
  kStoreReserve = 146,
  kStoreAppend = 147,
  kStoreSyncLog = 148,
  kStoreReadLog = 149,
  kStoreTrimLog = 150,
  kStoreLogUsage = 151,
  kStoreRemoveLog = 152,
  kStoreListLogs = 153,
  kStorePutChunk = 154,
  kStoreGetChunk = 155,
  kStoreRemoveChunk = 156,
  kStoreListChunks = 157,
  kStoreGetRecord = 158,
  kStoreSwapRecord = 159,
  kStoreRemoveRecord = 160,
  kStoreListRecords = 161,
  kStoreSweep = 162,
  kPeerHolds = 163,
  kPeerLeft = 164,
  kStoreFolder = 165,
  // Maps, between peers of one node (peers/map_ops.h).
  kMapOpen = 192,
  kMapTranslate = 193,
  kMapAdmit = 194,
  kMapCommit = 195,
  kMapBarrier = 196,
  kMapPreparePin = 197,
  kMapPin = 198,
  kMapGrow = 199,
  kMapClearPending = 200,
  kMapSetName = 201,
  kMapSetReadOnly = 202,
  kMapAbandon = 203,
  kMapClose = 204,
  kMapEndOpening = 205,
  // Devices, between peers of one node (peers/port_ops.h).
  kPortOpen = 224,
  kPortClose = 225,
  kPortRead = 226,
  kPortWrite = 227,
  kPortFlush = 228,
  kPortDiscard = 229,
  kPortWriteZeroes = 230,
  kPortExtents = 231,
  kPortPrefetch = 232,
  kPortInfo = 233,
  kPortRejoined = 234,
  // What the supervisor asks of a peer.
  kPeerTrace = 240,
  kPeerGone = 241,
  kPeerStats = 242,
  // Of the layer that carries calls over ports (peers/port_rpc).
  kErrorText = 255,
};

enum class Repeat : uint8_t {
  kHarmless,  // Sending it twice has the effect of sending it once.
  kUnsafe,    // The second one may fail, or undo what others did in between.
};

template <Op kNumber, typename R, Repeat kRepeats>
struct WireRow {
  static constexpr Op kOp = kNumber;
  static constexpr Repeat kRepeat = kRepeats;
  using Reply = R;
};

struct Nothing {};

// --- Volumes: the calls of `Atoll` (peers/client/atoll.h), sent by CLI and control service
// --------

struct CreateOp {
  using Wire = WireRow<Op::kCreate, ResourceInfo, Repeat::kHarmless>;
  CreateSpec spec;
};
struct SnapshotOp {
  using Wire = WireRow<Op::kSnapshot, ResourceInfo, Repeat::kHarmless>;
  SnapshotSpec spec;
};
struct ShowOp {
  using Wire = WireRow<Op::kShow, ResourceInfo, Repeat::kHarmless>;
  ResourceRef ref;
  bool with_space = false;
};
struct ListOp {
  using Wire = WireRow<Op::kList, ResourcePage, Repeat::kHarmless>;
  ListSpec spec;
};
struct ResizeOp {
  using Wire = WireRow<Op::kResize, ResourceInfo, Repeat::kHarmless>;
  ResourceRef ref;
  uint64_t size = 0;
  bool allow_shrink = false;
};
struct RenameOp {
  using Wire = WireRow<Op::kRename, ResourceInfo, Repeat::kUnsafe>;
  ResourceRef ref;
  std::string name;
};
struct RemoveOp {
  using Wire = WireRow<Op::kRemove, Nothing, Repeat::kUnsafe>;
  ResourceRef ref;
};
struct RollbackOp {
  using Wire = WireRow<Op::kRollback, ResourceInfo, Repeat::kUnsafe>;
  ResourceRef ref;
  ResourceRef snapshot;
};
struct AcquireOp {
  using Wire = WireRow<Op::kAcquire, Nothing, Repeat::kHarmless>;
  ResourceRef ref;
};
struct ReleaseOp {
  using Wire = WireRow<Op::kRelease, Nothing, Repeat::kHarmless>;
  ResourceRef ref;
};
struct GetLockOp {
  using Wire = WireRow<Op::kGetLock, LockInfo, Repeat::kHarmless>;
  ResourceRef ref;
};
struct BreakLockOp {
  using Wire = WireRow<Op::kBreakLock, Nothing, Repeat::kUnsafe>;
  ResourceRef ref;
  bool force = false;
};
struct StoresOp {
  using Wire = WireRow<Op::kStores, std::vector<StoreState>, Repeat::kHarmless>;
};
struct CollectGarbageOp {
  using Wire = WireRow<Op::kCollectGarbage, GcReport, Repeat::kHarmless>;
  bool dry_run = false;
};
struct CheckOp {
  using Wire = WireRow<Op::kCheck, CheckReport, Repeat::kUnsafe>;
  CheckSpec spec;
};
struct ScrubOp {
  using Wire = WireRow<Op::kScrub, ScrubStatus, Repeat::kUnsafe>;
  ScrubSpec spec;
};
struct StatsOp {
  using Wire = WireRow<Op::kStats, std::vector<PortStats>, Repeat::kHarmless>;
};

// --- Devices: a connection opens some and names them by handles of its own; what is still open
//     when it ends is closed. Data travels as the payload of the frame ----------------------------

struct OpenReply {
  uint64_t handle = 0;
  DeviceInfo info;
};
struct OpenOp {
  using Wire = WireRow<Op::kOpen, OpenReply, Repeat::kUnsafe>;
  ResourceRef ref;
  OpenMode mode = OpenMode::kReadWrite;
};
struct CloseDeviceOp {
  using Wire = WireRow<Op::kCloseDevice, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
};
struct ReadOp {  // The answer's payload is `length` bytes.
  using Wire = WireRow<Op::kRead, Nothing, Repeat::kHarmless>;
  uint64_t handle = 0;
  uint64_t offset = 0;
  uint32_t length = 0;
};
struct WriteOp {  // The payload is what is written.
  using Wire = WireRow<Op::kWrite, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t offset = 0;
  DeviceWriteOptions options;
};
struct WriteSparseOp {  // A write with `detect_zeroes`.
  using Wire = WireRow<Op::kWriteSparse, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t offset = 0;
  DeviceWriteOptions options;
};
struct FlushOp {
  using Wire = WireRow<Op::kFlush, Nothing, Repeat::kHarmless>;
  uint64_t handle = 0;
};
struct DiscardOp {
  using Wire = WireRow<Op::kDiscard, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  ByteRange range;
  DeviceWriteOptions options;
};
struct WriteZeroesOp {
  using Wire = WireRow<Op::kWriteZeroes, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  ByteRange range;
  DeviceZeroOptions options;
};
struct ExtentsOp {
  using Wire = WireRow<Op::kExtents, std::vector<DeviceExtent>, Repeat::kHarmless>;
  uint64_t handle = 0;
  ByteRange range;
  uint32_t limit = 0;
};
struct PrefetchOp {
  using Wire = WireRow<Op::kPrefetch, Nothing, Repeat::kHarmless>;
  uint64_t handle = 0;
  ByteRange range;
};

struct DeviceInfoOp {
  using Wire = WireRow<Op::kDeviceInfo, DeviceInfo, Repeat::kHarmless>;
  uint64_t handle = 0;
};

// --- The node: the calls of `NodeControl` --------------------------------------------------------

struct NodeStatusOp {
  using Wire = WireRow<Op::kNodeStatus, NodeStatus, Repeat::kHarmless>;
};
struct NodeStopOp {
  using Wire = WireRow<Op::kNodeStop, Nothing, Repeat::kHarmless>;
};
struct RestartPeerOp {
  using Wire = WireRow<Op::kRestartPeer, Nothing, Repeat::kUnsafe>;
  std::string name;
};
struct ReportOp {
  using Wire = WireRow<Op::kReport, Report, Repeat::kHarmless>;
  ReportSpec spec;
};

template <typename... Ops>
struct OpList {
  static constexpr size_t kSize = sizeof...(Ops);
};

using ControlOps =
    OpList<CreateOp, SnapshotOp, ShowOp, ListOp, ResizeOp, RenameOp, RemoveOp, RollbackOp,
           AcquireOp, ReleaseOp, GetLockOp, BreakLockOp, StoresOp, CollectGarbageOp, StatsOp,
           CheckOp, ScrubOp, OpenOp, CloseDeviceOp, ReadOp, WriteOp, FlushOp, DiscardOp,
           WriteZeroesOp, ExtentsOp, PrefetchOp, DeviceInfoOp, WriteSparseOp, NodeStatusOp,
           NodeStopOp, RestartPeerOp, ReportOp>;

// For logs: "create", or "operation 99".
std::string NameOf(Op op);

// --- Field lists, in the order of the wire -------------------------------------------------------

constexpr bool IsValid(ResourceKind kind) {
  return kind == ResourceKind::kVolume || kind == ResourceKind::kSnapshot;
}
constexpr bool IsValid(Severity severity) {
  return severity == Severity::kNote || severity == Severity::kError;
}
constexpr bool IsValid(ScrubAction action) { return action <= ScrubAction::kAbort; }
constexpr bool IsValid(ScrubState state) { return state <= ScrubState::kCancelled; }
constexpr bool IsValid(OpenMode mode) {
  return mode == OpenMode::kReadWrite || mode == OpenMode::kReadOnly;
}

// clang-format off
template <typename V> void Fields(V&, Nothing&) {}
template <typename V> void Fields(V& v, ByteRange& x) { v(x.offset, x.length); }
template <typename V> void Fields(V& v, ResourceRef& x) { v(x.name_space, x.name, x.uuid); }
template <typename V> void Fields(V& v, SpaceUse& x) {
  v(x.true_bytes, x.exclusive_bytes, x.shared_bytes);
}
template <typename V> void Fields(V& v, ResourceInfo& x) {
  v(x.uuid, x.kind, x.name_space, x.name, x.size, x.logical_block, x.physical_block, x.store,
    x.parent, x.parent_name, x.created_ns, x.modified_ns, x.epoch, x.generation, x.sources,
    x.open, x.holder, x.read_only_reason, x.space);
}
template <typename V> void Fields(V& v, CreateSpec& x) {
  v(x.uuid, x.name_space, x.name, x.size, x.logical_block, x.from, x.store);
}
template <typename V> void Fields(V& v, SnapshotSpec& x) { v(x.uuid, x.volume, x.name); }
template <typename V> void Fields(V& v, ListSpec& x) {
  v(x.kind, x.name_space, x.parent, x.after, x.after_name_space, x.limit);
}
template <typename V> void Fields(V& v, ResourcePage& x) { v(x.items, x.last); }
template <typename V> void Fields(V& v, LockInfo& x) { v(x.holder, x.generation, x.mode); }
template <typename V> void Fields(V& v, StoreState& x) {
  v(x.name, x.driver, x.location, x.uuid, x.total_bytes, x.free_bytes, x.reserve_bytes,
    x.is_default, x.state, x.capabilities);
}
template <typename V> void Fields(V& v, GcReport& x) {
  v(x.blobs, x.logs, x.records, x.leftovers, x.freed_bytes, x.items);
}
template <typename V> void Fields(V& v, Finding& x) {
  v(x.severity, x.store, x.resource, x.what, x.repairable, x.repaired);
}
template <typename V> void Fields(V& v, GarbageCount& x) {
  v(x.known, x.blobs, x.logs, x.records, x.leftovers, x.bytes);
}
template <typename V> void Fields(V& v, CheckReport& x) {
  v(x.resources, x.records, x.nodes, x.journals, x.blobs, x.errors, x.notes, x.repaired,
    x.garbage, x.findings);
}
template <typename V> void Fields(V& v, CheckSpec& x) { v(x.only, x.repair); }
template <typename V> void Fields(V& v, ScrubSpec& x) { v(x.action, x.only, x.rate); }
template <typename V> void Fields(V& v, ScrubStatus& x) {
  v(x.state, x.resource, x.rate, x.done_bytes, x.total_bytes, x.started_ns, x.ended_ns, x.report);
}
template <typename V> void Fields(V& v, LatencyCount& x) { v(x.bucket, x.count); }
template <typename V> void Fields(V& v, PortStats& x) {
  v(x.port, x.object, x.reads, x.writes, x.others, x.errors, x.read_bytes, x.write_bytes,
    x.in_flight, x.latency, x.max_ns);
}
template <typename V> void Fields(V& v, DeviceInfo& x) {
  v(x.uuid, x.name, x.size, x.logical_block, x.physical_block, x.read_only);
}
// `detect_zeroes` is an operation of its own.
template <typename V> void Fields(V& v, DeviceWriteOptions& x) { v(x.fua); }
template <typename V> void Fields(V& v, DeviceZeroOptions& x) { v(x.fua, x.no_hole, x.fast_only); }
template <typename V> void Fields(V& v, DeviceExtent& x) { v(x.range, x.hole, x.zero); }
template <typename V> void Fields(V& v, PeerState& x) { v(x.name, x.pid, x.state, x.restarts); }
template <typename V> void Fields(V& v, NodeStatus& x) {
  v(x.version, x.placement, x.config, x.state_dir, x.pid, x.started_ns, x.uptime_ns,
    x.nbd_socket, x.nbd_tcp, x.peers);
}
template <typename V> void Fields(V& v, ReportSpec& x) { v(x.name, x.argument, x.json); }
template <typename V> void Fields(V& v, Report& x) { v(x.text, x.good); }

template <typename V> void Fields(V& v, CreateOp& x) { v(x.spec); }
template <typename V> void Fields(V& v, SnapshotOp& x) { v(x.spec); }
template <typename V> void Fields(V& v, ShowOp& x) { v(x.ref, x.with_space); }
template <typename V> void Fields(V& v, ListOp& x) { v(x.spec); }
template <typename V> void Fields(V& v, ResizeOp& x) { v(x.ref, x.size, x.allow_shrink); }
template <typename V> void Fields(V& v, RenameOp& x) { v(x.ref, x.name); }
template <typename V> void Fields(V& v, RemoveOp& x) { v(x.ref); }
template <typename V> void Fields(V& v, RollbackOp& x) { v(x.ref, x.snapshot); }
template <typename V> void Fields(V& v, AcquireOp& x) { v(x.ref); }
template <typename V> void Fields(V& v, ReleaseOp& x) { v(x.ref); }
template <typename V> void Fields(V& v, GetLockOp& x) { v(x.ref); }
template <typename V> void Fields(V& v, BreakLockOp& x) { v(x.ref, x.force); }
template <typename V> void Fields(V&, StoresOp&) {}
template <typename V> void Fields(V& v, CollectGarbageOp& x) { v(x.dry_run); }
template <typename V> void Fields(V&, StatsOp&) {}
template <typename V> void Fields(V& v, CheckOp& x) { v(x.spec); }
template <typename V> void Fields(V& v, ScrubOp& x) { v(x.spec); }
template <typename V> void Fields(V& v, OpenReply& x) { v(x.handle, x.info); }
template <typename V> void Fields(V& v, OpenOp& x) { v(x.ref, x.mode); }
template <typename V> void Fields(V& v, CloseDeviceOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, ReadOp& x) { v(x.handle, x.offset, x.length); }
template <typename V> void Fields(V& v, WriteOp& x) { v(x.handle, x.offset, x.options); }
template <typename V> void Fields(V& v, WriteSparseOp& x) { v(x.handle, x.offset, x.options); }
template <typename V> void Fields(V& v, FlushOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, DiscardOp& x) { v(x.handle, x.range, x.options); }
template <typename V> void Fields(V& v, WriteZeroesOp& x) { v(x.handle, x.range, x.options); }
template <typename V> void Fields(V& v, ExtentsOp& x) { v(x.handle, x.range, x.limit); }
template <typename V> void Fields(V& v, PrefetchOp& x) { v(x.handle, x.range); }
template <typename V> void Fields(V& v, DeviceInfoOp& x) { v(x.handle); }
template <typename V> void Fields(V&, NodeStatusOp&) {}
template <typename V> void Fields(V&, NodeStopOp&) {}
template <typename V> void Fields(V& v, RestartPeerOp& x) { v(x.name); }
template <typename V> void Fields(V& v, ReportOp& x) { v(x.spec); }
// clang-format on

}  // namespace atl
