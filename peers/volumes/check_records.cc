// SPDX-License-Identifier: Apache-2.0
//
// Records besides headers, and what is left of resources that have none.
#include <fmt/format.h>

#include "peers/store/superblock.h"
#include "peers/volumes/checker.h"
#include "peers/volumes/lost.h"
#include "peers/volumes/reach.h"

namespace atl {

Task<std::vector<RecordKey>> Checker::Keys(StoreSlot slot, RecordKind kind) {
  auto keys = co_await AllKeys(&stores_->at(slot), kind);
  if (keys.ok()) co_return *std::move(keys);
  Findings findings = OfStore(slot);
  findings.Error(keys.status().With("listing records").ToString());
  Add(std::move(findings));
  co_return std::vector<RecordKey>{};
}

Task<void> Checker::CheckSuperblock(StoreSlot slot) {
  Store& store = stores_->at(slot);
  Findings findings = OfStore(slot);
  for (const RecordKey& key : co_await Keys(slot, RecordKind::kSuperblock)) {
    ++records_;
    const auto record = co_await store.GetRecord(key, ReadFor::kLook);
    const auto superblock =
        record.ok() ? DecodeSuperblock(record->payload) : Result<Superblock>(record.status());
    if (!superblock.ok()) {
      findings.Error(superblock.status().With("superblock").ToString());
    } else if (key != SuperblockKey()) {
      findings.Error("superblock: there is one under a key of its own, " + key.ToString());
    } else if (superblock->store != store.info().uuid) {
      findings.Error(fmt::format("superblock: it is that of store {}, and {} was opened",
                                 superblock->store.ToString(), store.info().uuid.ToString()));
    } else if (std::ranges::count(superblock->header_stores, superblock->store) == 0) {
      findings.Error("superblock: it does not list its own store");
    }
  }
  Add(std::move(findings));
}

// --- Names and headers ---------------------------------------------------------------------------

Task<void> Checker::ReadNames(StoreSlot slot) {
  Store& store = stores_->at(slot);
  const bool counts = &store == &stores_->catalog();
  Findings findings = OfStore(slot);
  for (const RecordKey& key : co_await Keys(slot, RecordKind::kName)) {
    co_await pace_->Spend(0);
    const auto record = co_await store.GetRecord(key, ReadFor::kLook);
    if (record.code() == Code::kNotFound) continue;
    ++records_;
    const auto name =
        record.ok() ? DecodeNameRecord(record->payload, key) : Result<NameRecord>(record.status());
    if (!name.ok()) {
      findings.Error(name.status().With(key.ToString()).ToString());
    } else if (counts) {
      labels_[name->uuid] = name->name;
      names_.push_back({key, record->version, name->uuid});
    }
  }
  Add(std::move(findings));
}

Task<void> Checker::ReadHeaders(StoreSlot slot) {
  Store& store = stores_->at(slot);
  for (const RecordKey& key : co_await Keys(slot, RecordKind::kHeader)) {
    co_await pace_->Spend(0);
    const Uuid uuid = key.uuid();
    const auto header = co_await ReadHeader(&store, uuid, ReadFor::kLook);
    if (header.code() == Code::kNotFound) continue;
    ++records_;
    const bool live = header.ok() && header->header.state == HeaderState::kLive;
    if (live) labels_[uuid] = header->header.name;
    if (live && header->header.pending) pending_.insert(header->header.pending->uuid);
    Findings findings = Of(slot, uuid);
    if (!header.ok()) findings.Error(header.status().ToString());
    const auto [before, first] = headers_.try_emplace(uuid, SeenHeader{slot, live});
    if (!first) {
      findings.Error(fmt::format("header: stores {} and {} both have one of {}",
                                 stores_->at(before->second.slot).info().name, store.info().name,
                                 uuid.ToString()));
    }
    Add(std::move(findings));
  }
}

Task<void> Checker::CheckNames() {
  for (const SeenName& name : names_) {
    if (pace_->cancelled()) co_return;
    co_await pace_->Spend(0);
    co_await CheckNameRecord(name);
  }
}

// A record that does not count is what a maker leaves who died between its steps; or it has just
// been made, or is about to be removed.
Task<void> Checker::CheckNameRecord(SeenName name) {
  const auto record = co_await stores_->catalog().GetRecord(name.key, ReadFor::kLook);
  if (!record.ok() || record->version != name.version) co_return;
  const auto decoded = DecodeNameRecord(record->payload, name.key);
  if (!decoded.ok()) co_return;
  Findings findings(stores_->catalog().info().name, "");
  const auto slot = stores_->Find(decoded->store);
  if (!slot.ok()) {
    findings.Error(slot.status().With("name record of " + decoded->name).ToString());
    Add(std::move(findings));
    co_return;
  }
  Store& store = stores_->at(*slot);
  findings = Of(*slot, name.uuid);
  const auto header = co_await ReadHeader(&store, name.uuid, ReadFor::kLook);
  const Repair discard{
      .kind = RepairKind::kDiscardName, .slot = *slot, .uuid = name.uuid, .key = name.key};
  if (header.code() == Code::kNotFound) {
    const Status lost = co_await CheckNotLost(stores_, *decoded);
    if (!lost.ok()) {
      lost_.insert(name.uuid);
      findings.Error(lost.ToString());
    } else if (!pending_.contains(name.uuid)) {
      findings.Note(fmt::format("name record: {} has no resource; its maker died, or is at work",
                                decoded->name),
                    discard);
    }
  } else if (header.ok() && header->header.state == HeaderState::kLive &&
             (header->header.name != decoded->name ||
              header->header.name_space != decoded->name_space)) {
    findings.Note(fmt::format("name record: {} is not the name of its resource, which is {}",
                              decoded->name, header->header.name),
                  discard);
  }
  const auto again = co_await stores_->catalog().GetRecord(name.key, ReadFor::kLook);
  if (again.ok() && again->version == name.version) Add(std::move(findings));
}

// --- Locks and leases ----------------------------------------------------------------------------

Task<void> Checker::CheckLocks(StoreSlot slot) {
  for (const RecordKey& key : co_await Keys(slot, RecordKind::kLock)) {
    if (pace_->cancelled()) co_return;
    co_await pace_->Spend(0);
    co_await CheckLock(slot, key.uuid());
  }
}

Task<void> Checker::CheckLock(StoreSlot slot, Uuid uuid) {
  Store& store = stores_->at(slot);
  const RecordKey key = RecordKey::Of(RecordKind::kLock, uuid);
  const auto record = co_await store.GetRecord(key, ReadFor::kLook);
  if (record.code() == Code::kNotFound) co_return;
  ++records_;
  Findings findings = Of(slot, uuid);
  const auto lock =
      record.ok() ? DecodeLockRecord(record->payload, uuid) : Result<LockRecord>(record.status());
  if (!lock.ok()) {
    findings.Error(lock.status().With(key.ToString()).ToString());
    Add(std::move(findings));
    co_return;
  }
  const auto header = co_await ReadHeader(&store, uuid, ReadFor::kLook);
  // The lock of what is gone is garbage.
  if (!header.ok() || header->header.state != HeaderState::kLive) co_return;
  const bool snapshot = header->header.kind == HeaderKind::kSnapshot;
  if (lock->mode == (snapshot ? LockMode::kWriter : LockMode::kReaders)) {
    findings.Error(fmt::format("lock record: a {} is locked for {}",
                               snapshot ? "snapshot" : "volume",
                               snapshot ? "writing" : "reading only"));
  }
  co_await CheckHolders(slot, *lock, &findings);
  if (findings.empty()) co_return;
  const auto again = co_await store.GetRecord(key, ReadFor::kLook);
  if (again.ok() && again->version == record->version) Add(std::move(findings));
}

// Whether one of those who are in it may be alive.
Task<void> Checker::CheckHolders(StoreSlot slot, LockRecord lock, Findings* findings) {
  std::vector<Uuid> inside = lock.readers;
  if (!lock.holder.is_zero()) inside.push_back(lock.holder);
  if (inside.empty()) co_return;
  std::string dead;
  for (const Uuid& incarnation : inside) {
    if (incarnation == identity_.incarnation) co_return;
    const auto lease = co_await ReadLease(&stores_->at(slot), incarnation);
    if (lease.code() != Code::kNotFound && !lease.ok()) co_return;
    if (lease.ok() && !IsKnownDead(*lease, identity_)) co_return;
    dead = lease.ok() ? fmt::format("node {} (process {})", lease->node, lease->pid)
                      : incarnation.ToString();
  }
  findings->Note(fmt::format("lock record: it is held by {}, which has ended; the next open takes "
                             "it over",
                             dead),
                 {.kind = RepairKind::kFreeLock, .slot = slot, .uuid = lock.resource});
}

Task<void> Checker::CheckLeases(StoreSlot slot) {
  Findings findings = OfStore(slot);
  for (const RecordKey& key : co_await Keys(slot, RecordKind::kLease)) {
    co_await pace_->Spend(0);
    const auto lease = co_await ReadLease(&stores_->at(slot), key.uuid());
    if (lease.code() == Code::kNotFound) continue;
    ++records_;
    if (!lease.ok()) findings.Error(lease.status().With(key.ToString()).ToString());
  }
  Add(std::move(findings));
}

// --- Lost headers --------------------------------------------------------------------------------

// Blobs and logs of a uuid that has a lock record and no header.
Task<void> Checker::CheckOwners(StoreSlot slot) {
  Store& store = stores_->at(slot);
  std::set<Uuid> owners;
  Status status;
  std::optional<BlobId> after_blob;
  for (bool last = false; !last;) {
    const auto page = co_await store.ListBlobs(after_blob, kMaxPage);
    status = page.status();
    if (!page.ok()) break;
    for (const BlobId& blob : page->items) owners.insert(blob.owner);
    last = page->last || page->items.empty();
    if (!last) after_blob = page->items.back();
  }
  std::optional<LogId> after_log;
  for (bool last = false; !last && status.ok();) {
    const auto page = co_await store.ListLogs(after_log, kMaxPage);
    status = page.status();
    if (!page.ok()) break;
    for (const LogId& log : page->items) owners.insert(log.owner);
    last = page->last || page->items.empty();
    if (!last) after_log = page->items.back();
  }
  Findings findings = OfStore(slot);
  if (!status.ok()) findings.Error(status.With("listing blobs and logs").ToString());
  for (const Uuid& owner : owners) {
    if (headers_.contains(owner) || lost_.contains(owner) || pace_->cancelled()) continue;
    const auto missing = co_await IsHeaderMissing(stores_, &store, owner, std::nullopt);
    if (missing.ok() && !*missing) continue;
    const Status lost = missing.ok() ? HeaderMissing(store, owner, "") : missing.status();
    findings.Error(lost.ToString());
  }
  Add(std::move(findings));
}

}  // namespace atl
