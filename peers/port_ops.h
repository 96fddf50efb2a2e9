// SPDX-License-Identifier: Apache-2.0
//
// Devices between peers of one node: sent by front ends to the composer; see peers/ops.h. The
// operations on volumes are those of the control socket, `VolumeOps`. The data of a read or a write
// is the request's buffer.
//
// Requests arrive in any order, so each request of a device has a number, one more than the one
// before it, and is begun in that order (peers/client/device.h, "Order").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peers/map_ops.h"
#include "peers/ops.h"
#include "peers/port_rpc/wire.h"

namespace atl {

using VolumeOps = OpList<CreateOp, SnapshotOp, ShowOp, ListOp, ResizeOp, RenameOp, RemoveOp,
                         RollbackOp, AcquireOp, ReleaseOp, GetLockOp, BreakLockOp, StoresOp,
                         CollectGarbageOp, StatsOp, CheckOp, ScrubOp>;

struct PortOpenOp {
  using Wire = WireRow<Op::kPortOpen, OpenReply, Repeat::kUnsafe>;
  ResourceRef ref;
  OpenMode mode = OpenMode::kReadWrite;
};
struct PortCloseOp {
  using Wire = WireRow<Op::kPortClose, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
};

struct PortReadOp {
  using Wire = WireRow<Op::kPortRead, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  uint64_t offset = 0;
  uint64_t* counter = nullptr;  // Does not travel: where the number comes from.
};
struct PortWriteOp {
  using Wire = WireRow<Op::kPortWrite, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  uint64_t offset = 0;
  DeviceWriteOptions options;
  bool again = false;  // A composer that has died may have made it.
  uint64_t* counter = nullptr;
};
struct PortFlushOp {
  using Wire = WireRow<Op::kPortFlush, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  uint64_t* counter = nullptr;
};
struct PortDiscardOp {
  using Wire = WireRow<Op::kPortDiscard, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  ByteRange range;
  DeviceWriteOptions options;
  bool again = false;  // A composer that has died may have made it.
  uint64_t* counter = nullptr;
};
struct PortWriteZeroesOp {
  using Wire = WireRow<Op::kPortWriteZeroes, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  ByteRange range;
  DeviceZeroOptions options;
  bool again = false;  // A composer that has died may have made it.
  uint64_t* counter = nullptr;
};
struct DeviceExtents {
  std::vector<DeviceExtent> items;
};
struct PortExtentsOp {  // Asked again it is a new request, with a number of its own.
  using Wire = WireRow<Op::kPortExtents, DeviceExtents, Repeat::kHarmless>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  ByteRange range;
  uint32_t limit = 0;
  uint64_t* counter = nullptr;
};
struct PortPrefetchOp {
  using Wire = WireRow<Op::kPortPrefetch, Nothing, Repeat::kUnsafe>;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  ByteRange range;
  uint64_t* counter = nullptr;
};
// What the device is now; has no place in the order of its requests.
struct PortInfoOp {
  using Wire = WireRow<Op::kPortInfo, DeviceInfo, Repeat::kHarmless>;
  uint64_t handle = 0;
};
// What the front end had asked a composer for that has died has been made again; see
// peers/volumes/remote/port_session.h.
struct PortRejoinedOp {
  using Wire = WireRow<Op::kPortRejoined, Nothing, Repeat::kHarmless>;
  uint32_t life = 0;  // Of the composer's port: another one's is kStale.
};
// Where the time of a volume's requests goes.
struct PeerTraceOp {
  using Wire = WireRow<Op::kPeerTrace, Report, Repeat::kHarmless>;
  std::string name;
  bool json = false;
};
// Rows of `atoll top` that a front end has.
struct PeerStatsOp {
  using Wire = WireRow<Op::kPeerStats, std::vector<PortStats>, Repeat::kHarmless>;
};

using PortOps = OpList<PortOpenOp, PortCloseOp, PortReadOp, PortWriteOp, PortFlushOp, PortDiscardOp,
                       PortWriteZeroesOp, PortExtentsOp, PortPrefetchOp, PortInfoOp, PortRejoinedOp,
                       PeerTraceOp, PeerGoneOp>;

// --- Answers that usually need more room than a slot: those of calls that cannot be repeated must
//     fit at once -------------------------------------------------------------------------------

inline constexpr size_t kResourceInfoRoom = 8 * kKiB;
template <>
inline constexpr size_t kReplyRoom<CreateOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<SnapshotOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<ShowOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<ResizeOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<RenameOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<RollbackOp> = kResourceInfoRoom;
template <>
inline constexpr size_t kReplyRoom<GetLockOp> = kPageBytes;
template <>
inline constexpr size_t kReplyRoom<ListOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StoresOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StatsOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<PeerStatsOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<PeerTraceOp> = 64 * kKiB;
// A second collection would find nothing to report: 10,000 items of about a hundred bytes.
template <>
inline constexpr size_t kReplyRoom<CollectGarbageOp> = 2 * kMiB;
// 1,000 findings of at most 1,000 bytes and some names.
template <>
inline constexpr size_t kReplyRoom<CheckOp> = 2 * kMiB;
template <>
inline constexpr size_t kReplyRoom<ScrubOp> = 2 * kMiB;
template <>
inline constexpr size_t kReplyRoom<PortOpenOp> = kPageBytes;
template <>
inline constexpr size_t kReplyRoom<PortInfoOp> = kPageBytes;
template <>
inline constexpr size_t kReplyRoom<PortExtentsOp> = kPageBytes;

// --- Field lists, in the order of the wire -------------------------------------------------------

// clang-format off
template <typename V> void Fields(V& v, PortOpenOp& x) { v(x.ref, x.mode); }
template <typename V> void Fields(V& v, PortCloseOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, PortReadOp& x) { v(x.handle, x.sequence, x.offset); }
template <typename V> void Fields(V& v, PortWriteOp& x) {
  v(x.handle, x.sequence, x.offset, x.options.fua, x.options.detect_zeroes, x.again);
}
template <typename V> void Fields(V& v, PortFlushOp& x) { v(x.handle, x.sequence); }
template <typename V> void Fields(V& v, PortDiscardOp& x) {
  v(x.handle, x.sequence, x.range, x.options, x.again);
}
template <typename V> void Fields(V& v, PortWriteZeroesOp& x) {
  v(x.handle, x.sequence, x.range, x.options, x.again);
}
template <typename V> void Fields(V& v, DeviceExtents& x) { v(x.items); }
template <typename V> void Fields(V& v, PortExtentsOp& x) {
  v(x.handle, x.sequence, x.range, x.limit);
}
template <typename V> void Fields(V& v, PortPrefetchOp& x) { v(x.handle, x.sequence, x.range); }
template <typename V> void Fields(V& v, PortInfoOp& x) { v(x.handle); }
template <typename V> void Fields(V& v, PortRejoinedOp& x) { v(x.life); }
template <typename V> void Fields(V& v, PeerTraceOp& x) { v(x.name, x.json); }
template <typename V> void Fields(V&, PeerStatsOp&) {}
// clang-format on

}  // namespace atl
