// SPDX-License-Identifier: Apache-2.0
//
// Records that nobody needs any more. Of a removed resource the tombstone goes last: as long as
// anything else is left of it, its header is not missing (lost.h).
#include "peers/format/records.h"
#include "peers/volumes/garbage.h"
#include "peers/volumes/transitions.h"

namespace atl {

Task<Status> GarbageCollector::RemoveRecord(Store* store, JudgedRecord record) {
  if (!dry_run_) {
    const Status removed =
        co_await store->RemoveRecord(record.key, record.version, env_->NewUuid());
    // Whoever changed it meanwhile wants it.
    if (removed.code() == Code::kConflict || removed.code() == Code::kNotFound) {
      co_return OkStatus();
    }
    CO_RETURN_IF_ERROR(removed);
  }
  ++report_.records;
  Note(record.key.ToString());
  co_return OkStatus();
}

// Headers that never counted. Their makers died after their names had been taken over, and after
// the tombstones that should have stopped them had been collected. One that holds anything of its
// own is left to people: its name record may have been lost, and its name used again.
Task<Status> GarbageCollector::WithdrawLosers(const Pass& pass) {
  for (auto it = pass.names.begin(); it != pass.names.end(); ++it) {
    if (pass.names.count(it->first) < 2) continue;
    const auto& [name, named] = *it;
    const auto record = co_await stores_->catalog().GetRecord(name, ReadFor::kAct);
    if (record.code() == Code::kNotFound) continue;
    if (!record.ok()) co_return record.status();
    CO_ASSIGN_OR_RETURN(const NameRecord winner, DecodeNameRecord(record->payload, name));
    const auto [first, last] = pass.names.equal_range(name);
    const bool lost = winner.uuid != named.uuid && std::any_of(first, last, [&](const auto& other) {
                        return other.second.uuid == winner.uuid;
                      });
    if (!lost) continue;
    Store& store = stores_->at(named.slot);
    auto header = co_await ReadHeader(&store, named.uuid, ReadFor::kAct);
    if (header.code() == Code::kNotFound) continue;
    if (!header.ok()) co_return header.status();
    const bool same = NameKey(header->header.name_space, header->header.name) == name;
    if (!same || !IsUntouched(header->header)) continue;
    ++report_.records;
    Note("header " + named.uuid.ToString() + ", whose name was taken by another");
    if (dry_run_) continue;
    header->header.state = HeaderState::kRemoved;
    header->header.pending.reset();
    CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeHeader(header->header));
    const RecordKey key = RecordKey::Of(RecordKind::kHeader, named.uuid);
    const auto swapped = co_await store.SwapRecord(key, header->version, bytes, env_->NewUuid());
    if (!swapped.ok() && swapped.code() != Code::kConflict) co_return swapped.status();
  }
  co_return OkStatus();
}

// Names of tombstones. A name without any header may be of a maker who is at work.
Task<Status> GarbageCollector::RemoveNames(Store* store, const Pass& pass) {
  CO_ASSIGN_OR_RETURN(const auto names, co_await AllKeys(store, RecordKind::kName));
  for (const RecordKey& key : names) {
    const auto record = co_await store->GetRecord(key, ReadFor::kLook);
    if (record.code() == Code::kNotFound) continue;
    if (!record.ok()) co_return record.status();
    CO_ASSIGN_OR_RETURN(const NameRecord name, DecodeNameRecord(record->payload, key));
    if (!pass.tombstones.contains(name.uuid)) continue;
    const JudgedRecord judged{key, record->version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, judged));
  }
  co_return OkStatus();
}

// Locks of what is gone.
Task<Status> GarbageCollector::RemoveLocks(Store* store, const Candidates& candidates,
                                           const Pass& pass) {
  for (const JudgedRecord& lock : candidates.locks) {
    const auto header = pass.headers.find(lock.key.uuid());
    if (header != pass.headers.end() && header->second.state == HeaderState::kLive) continue;
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, lock));
  }
  co_return OkStatus();
}

// Tombstones that no pending operation can meet any more and behind which nothing else is left.
Task<Status> GarbageCollector::RemoveTombstones(Store* store, const Candidates& candidates,
                                                const Pass& pass) {
  std::set<Uuid> kept = pass.pending;
  const auto keep_owners = [&](const Candidates& found) {
    for (const BlobId& blob : found.blobs) kept.insert(blob.owner);
    for (const LogId& log : found.logs) kept.insert(log.owner);
  };
  keep_owners(LeftOf(candidates, pass.reach));
  const auto goes = [&](const auto& tombstone) { return !kept.contains(tombstone.first); };
  if (std::ranges::none_of(pass.tombstones, goes)) co_return OkStatus();
  // Made since the first listing; what was listed then is gone, or stays as it was judged.
  CO_ASSIGN_OR_RETURN(Candidates now, co_await ListCandidates(store));
  const auto known = [&](const auto& list, const auto& id) {
    return std::ranges::binary_search(list, id);
  };
  std::erase_if(now.blobs, [&](const BlobId& id) { return known(candidates.blobs, id); });
  std::erase_if(now.logs, [&](const LogId& id) { return known(candidates.logs, id); });
  keep_owners(now);
  for (const JudgedRecord& lock : now.locks) {
    if (!dry_run_) kept.insert(lock.key.uuid());
  }
  for (const auto& tombstone : pass.tombstones) {
    if (!goes(tombstone)) continue;
    const auto& [uuid, version] = tombstone;
    const JudgedRecord judged{RecordKey::Of(RecordKind::kHeader, uuid), version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, judged));
  }
  co_return OkStatus();
}

// What was found and is still named.
GarbageCollector::Candidates GarbageCollector::LeftOf(const Candidates& candidates,
                                                      const Reach& keep) {
  Candidates left;
  for (const BlobId& blob : candidates.blobs) {
    if (keep.Keeps(blob)) left.blobs.push_back(blob);
  }
  for (const LogId& log : candidates.logs) {
    if (keep.Keeps(log)) left.logs.push_back(log);
  }
  return left;
}

Task<Status> GarbageCollector::RemoveLeases(Store* store) {
  CO_ASSIGN_OR_RETURN(const auto leases, co_await AllKeys(store, RecordKind::kLease));
  for (const RecordKey& key : leases) {
    if (key.uuid() == identity_.incarnation) continue;
    const auto lease = co_await ReadLease(store, key.uuid());
    if (lease.code() == Code::kNotFound) continue;
    // A damaged one says nothing; it harms nobody either.
    if (lease.code() == Code::kCorrupt) continue;
    if (!lease.ok()) co_return lease.status();
    if (!IsKnownDead(*lease, identity_)) continue;
    const auto record = co_await store->GetRecord(key, ReadFor::kAct);
    if (!record.ok()) continue;
    const JudgedRecord judged{key, record->version};
    CO_RETURN_IF_ERROR(co_await RemoveRecord(store, judged));
  }
  co_return OkStatus();
}

}  // namespace atl
