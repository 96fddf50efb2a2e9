// SPDX-License-Identifier: Apache-2.0
//
// The store contract: exactly what a driver (southbound) implements. Everything above knows a store
// by this class only, and one contract suite (tests/peers/store/contract) runs against every
// driver.
//
// Threads: a store object belongs to one executor thread. Several objects, in one process or in
// many, may have the same store open at once; what they promise each other is said below.
//
// Buffers: a span handed to a call is read or written until the call has ended, not longer.
//
// Durability: "stored" means that the store shows it to every reader and that it outlives the death
// of any process of ours. "Durable" means that it outlives power loss. A call says which it gives.
// After a failed sync the driver makes no further promise for that blob or log: the caller stops.
//
// Errors: kNotFound (the named thing is absent), kNoSpace, kIo, kCorrupt, kUnavailable and kTimeout
// (the store cannot be reached now), kFenced (this instance has not adopted the thing or has lost
// it), kBusy (somebody else holds it), kConflict (a swap was lost), kUnsupported (see
// Capabilities). A message names the store and the thing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peers/store/ids.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"

namespace atl {

inline constexpr size_t kMaxRecordBytes = 64 * kKiB;
inline constexpr size_t kMaxChunkBytes = 4 * kMiB;
// Largest single read, write or append.
inline constexpr size_t kMaxStoreIo = 32 * kMiB;
// Largest page of a listing.
inline constexpr uint32_t kMaxPage = 1000;

enum class Support : uint8_t { kNone, kEmulated, kNative };

// By what a store stops earlier writers of a blob.
enum class SealKind : uint8_t {
  kNone,           // It cannot; see "unsealed" in docs/FORMAT.md.
  kTable,          // The store's own table (memory).
  kImmutableFlag,  // The file system's immutable flag, enforced on open descriptors.
  kBlocklist,      // RADOS.
  kMandatoryLock,  // Gluster.
};

// Probed when the store is opened, never assumed.
struct Capabilities {
  bool durable_at_ack = false;  // What is acknowledged is durable already.
  bool late_no_space = false;   // A full store may say so only at sync.
  bool holds_records = false;   // Fit to hold records.
  // A dead instance's locks are seen to be free, so an Adopt without waiting proves its death.
  bool proves_death = false;
  SealKind seal = SealKind::kNone;
  uint32_t atomic_unit = 512;  // A write of so many aligned bytes is never torn by power loss.
  Support punch = Support::kNone;
  Support zero = Support::kNone;     // Native: allocated zeros without writing them.
  Support extents = Support::kNone;  // None: everything is reported as data.
  bool tells_allocation = false;     // Extents tells zeros that were kept allocated from holes.
};

// Names one life of the cache between us and the medium: as long as a store reports the same one,
// nothing that was stored has been lost. Written into journal batches.
struct CacheIdentity {
  Uuid boot;             // The host's boot id.
  uint64_t mount = 0;    // A mount identity that is never used again.
  bool trusted = false;  // False: no proof can be given here; never equal to anything.

  bool Proves(const CacheIdentity& written) const {
    return trusted && written.trusted && boot == written.boot && mount == written.mount;
  }
};

struct StoreInfo {
  std::string name;      // As configured.
  std::string driver;    // "memory", "file", ...
  std::string location;  // For people.
  Uuid uuid;             // Made with the store, in its superblock.
  Capabilities capabilities;
  CacheIdentity cache;
};

// For people: "seal=immutable-flag", "durable-at-ack", ...
std::vector<std::string> DescribeCapabilities(const StoreInfo& info);

struct Capacity {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;     // For data.
  uint64_t reserve_bytes = 0;  // Kept back for records, nodes and journals.
};

struct WriteOptions {
  // The written bytes and what is needed to find them again are durable when the call ends.
  // Nothing is said of earlier writes.
  bool data_sync = false;
};

struct ZeroOptions {
  bool keep_allocated = false;  // Space stays reserved (NBD no-hole); else it may be given back.
  bool fast_only = false;       // kUnsupported rather than writing zeros byte by byte.
};

enum class ExtentKind : uint8_t {
  kHole,  // Reads as zero and takes no space, as far as the store can tell: see tells_allocation.
  kZero,  // Reads as zero and takes space: a write to it needs none.
  kData,  // What it reads as is not known without reading it.
};

struct BlobExtent {
  ByteRange range;
  ExtentKind kind = ExtentKind::kHole;
};

struct Record {
  uint64_t version = 0;  // 1 is the first of all; grows, also over removal.
  Uuid operation;        // Of the operation that wrote this version.
  Bytes payload;
};

enum class ReadFor : uint8_t {
  kLook,  // To show it.
  kAct,   // To act on it: it is durable before it is returned, so nobody builds on what power may
          // take back.
};

// A page of a listing in ascending order. Ask again after the last item until `last` is true.
// Things made or removed meanwhile may or may not be seen; others are seen exactly once.
template <typename T>
struct Page {
  std::vector<T> items;
  bool last = true;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual const StoreInfo& info() const = 0;
  virtual Task<Result<Capacity>> GetCapacity() = 0;
  // Waits for what is in flight, gives up everything adopted. The last call.
  virtual Task<void> Close() = 0;

  // --- Who may write ---------------------------------------------------------------------------
  //
  // Blobs and logs are written only by an instance that has adopted them; any instance may read.

  // Makes this instance the only writer, creating the thing if it is absent. Ends only when nothing
  // that an earlier instance submitted can still happen. kBusy if another instance still holds it
  // after `wait_ns`; kFenced if it is sealed. Adopting twice is harmless. What was made is durable
  // after a Sync, SyncLog of it, also if nothing was ever written to it.
  virtual Task<Status> Adopt(const BlobId& blob, int64_t wait_ns) = 0;
  virtual Task<Status> AdoptLog(const LogId& log, int64_t wait_ns) = 0;
  // Gives the right to write back, after what is in flight. Never an error if not adopted.
  virtual Task<void> Disown(const BlobId& blob) = 0;
  virtual Task<void> DisownLog(const LogId& log) = 0;
  // From now on no write, append, zero or punch of any instance changes the thing, whenever it was
  // submitted; it may still be read and removed. Durable. Absent: it can never be created either.
  // kUnsupported where capabilities().seal is kNone.
  virtual Task<Status> Seal(const BlobId& blob) = 0;
  virtual Task<Status> SealLog(const LogId& log) = 0;

  // --- Blobs: sparse spaces of bytes up to 1 PiB ------------------------------------------------

  // Fills `out`. Parts never written read as zero; a blob, or a part of it, that was written and is
  // gone is kNotFound or kCorrupt, never zeros.
  virtual Task<Status> Read(const BlobId& blob, uint64_t offset, MutSpan out) = 0;
  // Stored when it ends. Never changes a byte outside of the range.
  virtual Task<Status> Write(const BlobId& blob, uint64_t offset, ConstSpan data,
                             WriteOptions options) = 0;
  virtual Task<Status> Zero(const BlobId& blob, ByteRange range, ZeroOptions options) = 0;
  // The range reads as zero and its whole sub-grains (4 KiB) give back their space where the store
  // can do it.
  virtual Task<Status> Punch(const BlobId& blob, ByteRange range) = 0;
  // All that was stored in the blob before the call is durable, with the directories that lead to
  // it. An error is reported at least once to this instance, and never swallowed.
  virtual Task<Status> Sync(const BlobId& blob) = 0;
  // Covers `range` without gaps, in order, neighbours differ. What is called a hole or zero reads
  // as zero unless it is written to meanwhile; zeros may be called data. Where
  // capabilities().extents is native, what was never written or was punched by whole sub-grains (4
  // KiB) is a hole; where tells_allocation is set, what Zero has kept allocated is kZero until it
  // is written to, and elsewhere it may be called a hole too. The cost follows the number of
  // extents, not the length.
  virtual Task<Result<std::vector<BlobExtent>>> Extents(const BlobId& blob, ByteRange range) = 0;
  // Bytes of space that it takes, by the store's own count.
  virtual Task<Result<uint64_t>> Usage(const BlobId& blob) = 0;
  // Copies `range` of `from` to the same place in `to` (adopted), without our buffers where the
  // store can do it. What is no data in `from` is a hole in `to`. Stored, not durable.
  virtual Task<Status> Copy(const BlobId& from, const BlobId& to, ByteRange range) = 0;
  // Frees its space; also when sealed. kNotFound if absent. Durable is not promised: GC repeats.
  virtual Task<Status> Remove(const BlobId& blob) = 0;
  virtual Task<Result<Page<BlobId>>> ListBlobs(std::optional<BlobId> after, uint32_t limit) = 0;

  // --- Blobs, at once ----------------------------------------------------------------------------
  //
  // Read and Write for who has no time to wait: done when they return true, if all that they need
  // is in memory. False: make the call above, which also tells what is wrong. After that `out`
  // holds anything, and the range of the blob the old bytes, the new ones, or some of each.

  virtual bool TryRead(const BlobId& blob, uint64_t offset, MutSpan out) { return false; }
  // As Write without any option.
  virtual bool TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) { return false; }
  // The bytes as they lie in the store's own memory: one copy less. Empty if it cannot give them.
  // Until the caller suspends or writes they are what Read would bring, also while it asks for
  // more. They may only be handed to system calls: touching them may raise SIGBUS, for which a
  // system call answers EFAULT, and then Read tells what is wrong.
  virtual ConstSpan TryView(const BlobId& blob, uint64_t offset, size_t length) { return {}; }

  // --- Logs: journals and node blobs ------------------------------------------------------------

  // Space for the first `length` bytes is taken now, so that appends up to there cannot fail for
  // want of it. Takes from the store's reserve if it must.
  virtual Task<Status> Reserve(const LogId& log, uint64_t length) = 0;
  // Puts `data` at `position`, which is the end of what this instance has appended (or found when
  // it adopted). The same bytes may be put at the same position again, as after a failure; stored
  // when it ends.
  virtual Task<Status> Append(const LogId& log, uint64_t position, ConstSpan data) = 0;
  virtual Task<Status> SyncLog(const LogId& log) = 0;
  // Reads up to `out.size()` bytes; fewer only at the end. Bytes that were reserved and not yet
  // appended read as zeros or as the end.
  virtual Task<Result<size_t>> ReadLog(const LogId& log, uint64_t position, MutSpan out) = 0;
  // Gives back the space reserved beyond `length`; nothing before it changes.
  virtual Task<Status> TrimLog(const LogId& log, uint64_t length) = 0;
  virtual Task<Result<uint64_t>> LogUsage(const LogId& log) = 0;
  virtual Task<Status> RemoveLog(const LogId& log) = 0;
  virtual Task<Result<Page<LogId>>> ListLogs(std::optional<LogId> after, uint32_t limit) = 0;

  // --- Chunks: immutable, named by their SHA-256 ------------------------------------------------

  // Durable when it ends. Harmless if it is there already. The bytes hashed are the bytes stored:
  // the driver copies them, hashes its copy, and answers kInvalid if `id` is not their hash.
  virtual Task<Status> PutChunk(const ChunkId& id, ConstSpan data) = 0;
  // The content, checked against its name (kCorrupt).
  virtual Task<Result<Bytes>> GetChunk(const ChunkId& id) = 0;
  virtual Task<Status> RemoveChunk(const ChunkId& id) = 0;
  virtual Task<Result<Page<ChunkId>>> ListChunks(std::optional<ChunkId> after, uint32_t limit) = 0;

  // --- Records: small, versioned, changed by compare-and-swap -----------------------------------

  virtual Task<Result<Record>> GetRecord(const RecordKey& key, ReadFor purpose) = 0;
  // Makes version `expected` + 1 (`expected` 0: the record must be absent, and the version made is
  // above every one that this key had before), durably, and returns it. kConflict if the record has
  // another version by now or is gone, unless `operation` made the version that was asked for,
  // which then is returned: a retry knows its own success, and so does a swap whose result was
  // replaced by the next few swaps before its end. Atomic over all instances and hosts that share
  // the store.
  virtual Task<Result<uint64_t>> SwapRecord(const RecordKey& key, uint64_t expected,
                                            ConstSpan payload, const Uuid& operation) = 0;
  // Removes the record, durably, if it has `version`, else kConflict; kNotFound if it is gone. A
  // record made later under the same key cannot be changed by whoever read the removed one.
  virtual Task<Status> RemoveRecord(const RecordKey& key, uint64_t version,
                                    const Uuid& operation) = 0;
  virtual Task<Result<Page<RecordKey>>> ListRecords(RecordKind kind,
                                                    std::optional<RecordName> after,
                                                    uint32_t limit) = 0;

  // Removes what dead instances left behind and nobody can want any more: temporaries, versions of
  // records that were replaced, half-removed blobs. Safe beside everything else. Returns a count.
  virtual Task<Result<uint64_t>> Sweep(bool dry_run) = 0;
};

}  // namespace atl
