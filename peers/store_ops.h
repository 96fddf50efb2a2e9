// SPDX-License-Identifier: Apache-2.0
//
// The operations of a store (peers/store/store.h) between peers of one node, sent by composer and
// mapper; see peers/ops.h. The data of a read, write, append or put is the request's buffer.
//
// All instances of one node share the store's instance: who adopts something has it for all peers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peers/ops.h"
#include "peers/port_rpc/wire.h"
#include "peers/store/blob_folder.h"
#include "peers/store/store.h"

namespace atl {

// The most extents that one answer carries.
inline constexpr size_t kMaxStoreExtents = 10'000;

struct ExtentList {
  std::vector<BlobExtent> items;  // Covers a prefix of what was asked for.
};
struct RecordVersion {
  uint64_t version = 0;
};
struct ByteTotal {
  uint64_t bytes = 0;
};
struct ChunkContent {
  Bytes bytes;
};

struct StoreInfoOp {
  using Wire = WireRow<Op::kStoreInfo, StoreInfo, Repeat::kHarmless>;
};
struct StoreCapacityOp {
  using Wire = WireRow<Op::kStoreCapacity, Capacity, Repeat::kHarmless>;
};
struct StoreAdoptOp {
  using Wire = WireRow<Op::kStoreAdopt, Nothing, Repeat::kHarmless>;
  BlobId blob;
  int64_t wait_ns = 0;
};
struct StoreAdoptLogOp {
  using Wire = WireRow<Op::kStoreAdoptLog, Nothing, Repeat::kHarmless>;
  LogId log;
  int64_t wait_ns = 0;
};
struct StoreDisownOp {
  using Wire = WireRow<Op::kStoreDisown, Nothing, Repeat::kHarmless>;
  BlobId blob;
};
struct StoreDisownLogOp {
  using Wire = WireRow<Op::kStoreDisownLog, Nothing, Repeat::kHarmless>;
  LogId log;
};
struct StoreSealOp {
  using Wire = WireRow<Op::kStoreSeal, Nothing, Repeat::kHarmless>;
  BlobId blob;
};
struct StoreSealLogOp {
  using Wire = WireRow<Op::kStoreSealLog, Nothing, Repeat::kHarmless>;
  LogId log;
};

struct StoreReadOp {
  using Wire = WireRow<Op::kStoreRead, Nothing, Repeat::kHarmless>;
  BlobId blob;
  uint64_t offset = 0;
};
struct StoreWriteOp {  // Harmless while the caller holds the range: the same bytes again.
  using Wire = WireRow<Op::kStoreWrite, Nothing, Repeat::kHarmless>;
  BlobId blob;
  uint64_t offset = 0;
  WriteOptions options;
};
struct StoreZeroOp {
  using Wire = WireRow<Op::kStoreZero, Nothing, Repeat::kHarmless>;
  BlobId blob;
  ByteRange range;
  ZeroOptions options;
};
struct StorePunchOp {
  using Wire = WireRow<Op::kStorePunch, Nothing, Repeat::kHarmless>;
  BlobId blob;
  ByteRange range;
};
struct StoreSyncOp {  // A second one would not report the error of the first.
  using Wire = WireRow<Op::kStoreSync, Nothing, Repeat::kUnsafe>;
  BlobId blob;
};
struct StoreExtentsOp {
  using Wire = WireRow<Op::kStoreExtents, ExtentList, Repeat::kHarmless>;
  BlobId blob;
  ByteRange range;
};
struct StoreUsageOp {
  using Wire = WireRow<Op::kStoreUsage, ByteTotal, Repeat::kHarmless>;
  BlobId blob;
};
struct StoreCopyOp {
  using Wire = WireRow<Op::kStoreCopy, Nothing, Repeat::kHarmless>;
  BlobId from;
  BlobId to;
  ByteRange range;
};
struct StoreRemoveOp {  // The second one finds nothing.
  using Wire = WireRow<Op::kStoreRemove, Nothing, Repeat::kUnsafe>;
  BlobId blob;
};
struct StoreListBlobsOp {
  using Wire = WireRow<Op::kStoreListBlobs, Page<BlobId>, Repeat::kHarmless>;
  std::optional<BlobId> after;
  uint32_t limit = 0;
};

struct StoreReserveOp {
  using Wire = WireRow<Op::kStoreReserve, Nothing, Repeat::kHarmless>;
  LogId log;
  uint64_t length = 0;
};
struct StoreAppendOp {
  using Wire = WireRow<Op::kStoreAppend, Nothing, Repeat::kHarmless>;
  LogId log;
  uint64_t position = 0;
};
struct StoreSyncLogOp {
  using Wire = WireRow<Op::kStoreSyncLog, Nothing, Repeat::kUnsafe>;
  LogId log;
};
struct StoreReadLogOp {
  using Wire = WireRow<Op::kStoreReadLog, ByteTotal, Repeat::kHarmless>;
  LogId log;
  uint64_t position = 0;
};
struct StoreTrimLogOp {
  using Wire = WireRow<Op::kStoreTrimLog, Nothing, Repeat::kHarmless>;
  LogId log;
  uint64_t length = 0;
};
struct StoreLogUsageOp {
  using Wire = WireRow<Op::kStoreLogUsage, ByteTotal, Repeat::kHarmless>;
  LogId log;
};
struct StoreRemoveLogOp {
  using Wire = WireRow<Op::kStoreRemoveLog, Nothing, Repeat::kUnsafe>;
  LogId log;
};
struct StoreListLogsOp {
  using Wire = WireRow<Op::kStoreListLogs, Page<LogId>, Repeat::kHarmless>;
  std::optional<LogId> after;
  uint32_t limit = 0;
};

struct StorePutChunkOp {
  using Wire = WireRow<Op::kStorePutChunk, Nothing, Repeat::kHarmless>;
  ChunkId id{};
};
struct StoreGetChunkOp {
  using Wire = WireRow<Op::kStoreGetChunk, ChunkContent, Repeat::kHarmless>;
  ChunkId id{};
};
struct StoreRemoveChunkOp {
  using Wire = WireRow<Op::kStoreRemoveChunk, Nothing, Repeat::kUnsafe>;
  ChunkId id{};
};
struct StoreListChunksOp {
  using Wire = WireRow<Op::kStoreListChunks, Page<ChunkId>, Repeat::kHarmless>;
  std::optional<ChunkId> after;
  uint32_t limit = 0;
};

struct StoreGetRecordOp {
  using Wire = WireRow<Op::kStoreGetRecord, Record, Repeat::kHarmless>;
  RecordKey key;
  ReadFor purpose = ReadFor::kLook;
};
struct StoreSwapRecordOp {  // A retry knows its own success by `operation`.
  using Wire = WireRow<Op::kStoreSwapRecord, RecordVersion, Repeat::kHarmless>;
  RecordKey key;
  uint64_t expected = 0;
  Uuid operation;
};
struct StoreRemoveRecordOp {
  using Wire = WireRow<Op::kStoreRemoveRecord, Nothing, Repeat::kUnsafe>;
  RecordKey key;
  uint64_t version = 0;
  Uuid operation;
};
struct StoreListRecordsOp {
  using Wire = WireRow<Op::kStoreListRecords, Page<RecordKey>, Repeat::kHarmless>;
  RecordKind kind = RecordKind::kHeader;
  std::optional<RecordName> after;
  uint32_t limit = 0;
};
struct StoreSweepOp {
  using Wire = WireRow<Op::kStoreSweep, ByteTotal, Repeat::kHarmless>;
  bool dry_run = false;
};
struct StoreFolderOp {  // None: nobody but the store reads its blobs.
  using Wire = WireRow<Op::kStoreFolder, BlobFolder, Repeat::kHarmless>;
};

// Said by a peer to the supervisor, which tells the peer's successor if it dies: what it has taken,
// before whoever wanted it hears of it, and what it has given up, after that. One of these: what a
// store has adopted, or a resource that the composer holds open (`atoll open`).
struct Holding {
  std::optional<BlobId> blob;
  std::optional<LogId> log;
  std::optional<Uuid> resource;
  friend auto operator<=>(const Holding&, const Holding&) = default;
};
struct PeerHoldsOp {
  using Wire = WireRow<Op::kPeerHolds, Nothing, Repeat::kHarmless>;
  Holding what;
};
struct PeerLeftOp {
  using Wire = WireRow<Op::kPeerLeft, Nothing, Repeat::kHarmless>;
  Holding what;
};
using HoldingOps = OpList<PeerHoldsOp, PeerLeftOp>;

using StoreOps =
    OpList<StoreInfoOp, StoreCapacityOp, StoreAdoptOp, StoreAdoptLogOp, StoreDisownOp,
           StoreDisownLogOp, StoreSealOp, StoreSealLogOp, StoreReadOp, StoreWriteOp, StoreZeroOp,
           StorePunchOp, StoreSyncOp, StoreExtentsOp, StoreUsageOp, StoreCopyOp, StoreRemoveOp,
           StoreListBlobsOp, StoreReserveOp, StoreAppendOp, StoreSyncLogOp, StoreReadLogOp,
           StoreTrimLogOp, StoreLogUsageOp, StoreRemoveLogOp, StoreListLogsOp, StorePutChunkOp,
           StoreGetChunkOp, StoreRemoveChunkOp, StoreListChunksOp, StoreGetRecordOp,
           StoreSwapRecordOp, StoreRemoveRecordOp, StoreListRecordsOp, StoreSweepOp, StoreFolderOp>;

// --- Answers that usually need more room than a slot ---------------------------------------------

template <>
inline constexpr size_t kReplyRoom<StoreInfoOp> = kPageBytes;
template <>
inline constexpr size_t kReplyRoom<StoreExtentsOp> = kPageBytes;
template <>
inline constexpr size_t kReplyRoom<StoreListBlobsOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StoreListLogsOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StoreListChunksOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StoreListRecordsOp> = 64 * kKiB;
template <>
inline constexpr size_t kReplyRoom<StoreGetChunkOp> = kMiB;
template <>
inline constexpr size_t kReplyRoom<StoreGetRecordOp> = 4 * kKiB;

// --- Field lists, in the order of the wire -------------------------------------------------------

constexpr bool IsValid(LogKind kind) {
  return kind == LogKind::kJournal || kind == LogKind::kNodes;
}
constexpr bool IsValid(RecordKind kind) {
  return kind >= RecordKind::kSuperblock && kind <= RecordKind::kLease;
}
constexpr bool IsValid(Support support) { return support <= Support::kNative; }
constexpr bool IsValid(ExtentKind kind) { return kind <= ExtentKind::kData; }
constexpr bool IsValid(SealKind kind) { return kind <= SealKind::kMandatoryLock; }
constexpr bool IsValid(ReadFor purpose) { return purpose <= ReadFor::kAct; }

// clang-format off
template <typename V> void Fields(V& v, BlobId& x) { v(x.owner, x.epoch, x.instance); }
template <typename V> void Fields(V& v, LogId& x) { v(x.kind, x.owner, x.epoch, x.generation); }
template <typename V> void Fields(V& v, Holding& x) { v(x.blob, x.log, x.resource); }
template <typename V> void Fields(V& v, PeerHoldsOp& x) { v(x.what); }
template <typename V> void Fields(V& v, PeerLeftOp& x) { v(x.what); }
template <typename V> void Fields(V& v, RecordKey& x) { v(x.kind, x.name); }
template <typename V, typename T> void Fields(V& v, Page<T>& x) { v(x.items, x.last); }
template <typename V> void Fields(V& v, Capabilities& x) {
  v(x.durable_at_ack, x.late_no_space, x.holds_records, x.proves_death, x.seal, x.atomic_unit,
    x.punch, x.zero, x.extents, x.tells_allocation);
}
template <typename V> void Fields(V& v, CacheIdentity& x) { v(x.boot, x.mount, x.trusted); }
template <typename V> void Fields(V& v, StoreInfo& x) {
  v(x.name, x.driver, x.location, x.uuid, x.capabilities, x.cache);
}
template <typename V> void Fields(V& v, Capacity& x) {
  v(x.total_bytes, x.free_bytes, x.reserve_bytes);
}
template <typename V> void Fields(V& v, WriteOptions& x) { v(x.data_sync); }
template <typename V> void Fields(V& v, ZeroOptions& x) { v(x.keep_allocated, x.fast_only); }
template <typename V> void Fields(V& v, BlobExtent& x) { v(x.range, x.kind); }
template <typename V> void Fields(V& v, Record& x) { v(x.version, x.operation, x.payload); }
template <typename V> void Fields(V& v, ExtentList& x) { v(x.items); }
template <typename V> void Fields(V& v, RecordVersion& x) { v(x.version); }
template <typename V> void Fields(V& v, ByteTotal& x) { v(x.bytes); }
template <typename V> void Fields(V& v, ChunkContent& x) { v(x.bytes); }

template <typename V> void Fields(V& v, BlobFolder& x) { v(x.device, x.inode); }

template <typename V> void Fields(V&, StoreInfoOp&) {}
template <typename V> void Fields(V&, StoreFolderOp&) {}
template <typename V> void Fields(V&, StoreCapacityOp&) {}
template <typename V> void Fields(V& v, StoreAdoptOp& x) { v(x.blob, x.wait_ns); }
template <typename V> void Fields(V& v, StoreAdoptLogOp& x) { v(x.log, x.wait_ns); }
template <typename V> void Fields(V& v, StoreDisownOp& x) { v(x.blob); }
template <typename V> void Fields(V& v, StoreDisownLogOp& x) { v(x.log); }
template <typename V> void Fields(V& v, StoreSealOp& x) { v(x.blob); }
template <typename V> void Fields(V& v, StoreSealLogOp& x) { v(x.log); }
template <typename V> void Fields(V& v, StoreReadOp& x) { v(x.blob, x.offset); }
template <typename V> void Fields(V& v, StoreWriteOp& x) { v(x.blob, x.offset, x.options); }
template <typename V> void Fields(V& v, StoreZeroOp& x) { v(x.blob, x.range, x.options); }
template <typename V> void Fields(V& v, StorePunchOp& x) { v(x.blob, x.range); }
template <typename V> void Fields(V& v, StoreSyncOp& x) { v(x.blob); }
template <typename V> void Fields(V& v, StoreExtentsOp& x) { v(x.blob, x.range); }
template <typename V> void Fields(V& v, StoreUsageOp& x) { v(x.blob); }
template <typename V> void Fields(V& v, StoreCopyOp& x) { v(x.from, x.to, x.range); }
template <typename V> void Fields(V& v, StoreRemoveOp& x) { v(x.blob); }
template <typename V> void Fields(V& v, StoreListBlobsOp& x) { v(x.after, x.limit); }
template <typename V> void Fields(V& v, StoreReserveOp& x) { v(x.log, x.length); }
template <typename V> void Fields(V& v, StoreAppendOp& x) { v(x.log, x.position); }
template <typename V> void Fields(V& v, StoreSyncLogOp& x) { v(x.log); }
template <typename V> void Fields(V& v, StoreReadLogOp& x) { v(x.log, x.position); }
template <typename V> void Fields(V& v, StoreTrimLogOp& x) { v(x.log, x.length); }
template <typename V> void Fields(V& v, StoreLogUsageOp& x) { v(x.log); }
template <typename V> void Fields(V& v, StoreRemoveLogOp& x) { v(x.log); }
template <typename V> void Fields(V& v, StoreListLogsOp& x) { v(x.after, x.limit); }
template <typename V> void Fields(V& v, StorePutChunkOp& x) { v(x.id); }
template <typename V> void Fields(V& v, StoreGetChunkOp& x) { v(x.id); }
template <typename V> void Fields(V& v, StoreRemoveChunkOp& x) { v(x.id); }
template <typename V> void Fields(V& v, StoreListChunksOp& x) { v(x.after, x.limit); }
template <typename V> void Fields(V& v, StoreGetRecordOp& x) { v(x.key, x.purpose); }
template <typename V> void Fields(V& v, StoreSwapRecordOp& x) {
  v(x.key, x.expected, x.operation);
}
template <typename V> void Fields(V& v, StoreRemoveRecordOp& x) {
  v(x.key, x.version, x.operation);
}
template <typename V> void Fields(V& v, StoreListRecordsOp& x) { v(x.kind, x.after, x.limit); }
template <typename V> void Fields(V& v, StoreSweepOp& x) { v(x.dry_run); }
// clang-format on

}  // namespace atl
