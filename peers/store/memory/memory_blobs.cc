// SPDX-License-Identifier: Apache-2.0
//
// Blobs of a memory store.
#include <utility>

#include "peers/store/limits.h"
#include "peers/store/memory/memory_flight.h"
#include "peers/store/memory/memory_store.h"

namespace atl {

Task<Status> MemoryStore::Read(const BlobId& id, uint64_t offset, MutSpan out) {
  CO_RETURN_IF_ERROR(CheckIo(id, offset, out.size()));
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto blob, Find(world_.blobs_, id));
  blob->space.Read(offset, out);
  co_return OkStatus();
}

Task<Status> MemoryStore::Write(const BlobId& id, uint64_t offset, ConstSpan data,
                                WriteOptions options) {
  CO_RETURN_IF_ERROR(CheckIo(id, offset, data.size()));
  CO_ASSIGN_OR_RETURN(const auto blob, Mine(world_.blobs_, id));
  const Flight flight(this, blob);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  if (!blob->space.Write(offset, data)) {
    co_return flight.Tell({Code::kNoSpace, Named(id) + ": the store is full"});
  }
  if (options.data_sync) {
    blob->space.SyncRange({offset, data.size()});
    blob->entry_durable = true;
  }
  co_return flight.Tell(OkStatus());
}

bool MemoryStore::TryRead(const BlobId& id, uint64_t offset, MutSpan out) {
  if (!CheckIo(id, offset, out.size()).ok() || MissesCache()) return false;
  const auto blob = Find(world_.blobs_, id);
  if (!blob.ok()) return false;
  (*blob)->space.Read(offset, out);
  return true;
}

bool MemoryStore::TryWrite(const BlobId& id, uint64_t offset, ConstSpan data) {
  if (!CheckIo(id, offset, data.size()).ok() || MissesCache()) return false;
  const auto blob = Mine(world_.blobs_, id);
  return blob.ok() && (*blob)->space.Write(offset, data);
}

Task<Status> MemoryStore::Zero(const BlobId& id, ByteRange range, ZeroOptions options) {
  CO_RETURN_IF_ERROR(CheckRange(id, range));
  CO_ASSIGN_OR_RETURN(const auto blob, Mine(world_.blobs_, id));
  const Flight flight(this, blob);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  if (!options.keep_allocated) {
    blob->space.Punch(range);
  } else if (!blob->space.ZeroAllocated(range)) {
    co_return flight.Tell({Code::kNoSpace, Named(id) + ": the store is full"});
  }
  co_return flight.Tell(OkStatus());
}

Task<Status> MemoryStore::Punch(const BlobId& id, ByteRange range) {
  co_return co_await Zero(id, range, ZeroOptions{});
}

Task<Status> MemoryStore::Sync(const BlobId& id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto blob, Find(world_.blobs_, id));
  blob->space.Sync();
  blob->entry_durable = true;
  // What is stored while the answer travels is not in it.
  if (travels()) co_await Travel();
  co_return Alive();
}

Task<Result<std::vector<BlobExtent>>> MemoryStore::Extents(const BlobId& id, ByteRange range) {
  CO_RETURN_IF_ERROR(CheckRange(id, range));
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto blob, Find(world_.blobs_, id));
  co_return blob->space.Extents(range);
}

Task<Result<uint64_t>> MemoryStore::Usage(const BlobId& id) {
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto blob, Find(world_.blobs_, id));
  co_return blob->space.used_bytes();
}

Task<Status> MemoryStore::Copy(const BlobId& from, const BlobId& to, ByteRange range) {
  CO_RETURN_IF_ERROR(CheckRange(from, range));
  CO_ASSIGN_OR_RETURN(const auto target, Mine(world_.blobs_, to));
  const Flight flight(this, target);
  if (travels()) co_await Travel();
  CO_ASSIGN_OR_RETURN(const auto source, Find(world_.blobs_, from));
  CO_RETURN_IF_ERROR(flight.MayLand());
  if (source == target) co_return OkStatus();
  Bytes buffer(kSubGrain);
  for (const BlobExtent& extent : source->space.Extents(range)) {
    const bool data = extent.kind == ExtentKind::kData;
    if (!data) target->space.Punch(extent.range);
    for (uint64_t done = 0; data && done < extent.range.length; done += kSubGrain) {
      const MutSpan piece = MutSpan(buffer).first(std::min(kSubGrain, extent.range.length - done));
      source->space.Read(extent.range.offset + done, piece);
      if (!target->space.Write(extent.range.offset + done, piece)) {
        co_return flight.Tell({Code::kNoSpace, Named(to) + ": the store is full"});
      }
    }
  }
  co_return flight.Tell(OkStatus());
}

Task<Status> MemoryStore::Remove(const BlobId& id) {
  CO_RETURN_IF_ERROR(Alive());
  const Flight flight(this);
  if (travels()) co_await Travel();
  CO_RETURN_IF_ERROR(flight.MayLand());
  const auto at = world_.blobs_.find(id);
  if (at == world_.blobs_.end()) co_return flight.Tell(Missing(id));
  at->second->removed = true;
  at->second->space.Punch({0, kMaxVolumeSize});
  world_.blobs_.erase(at);
  co_return flight.Tell(OkStatus());
}

Task<Result<Page<BlobId>>> MemoryStore::ListBlobs(std::optional<BlobId> after, uint32_t limit) {
  return ListIn(world_.blobs_, after, limit);
}

}  // namespace atl
