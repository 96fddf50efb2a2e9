// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/check_map.h"

#include <fmt/format.h>

#include "peers/format/journal.h"
#include "peers/mapper/header_store.h"
#include "peers/mapper/log_reader.h"
#include "peers/mapper/root_store.h"
#include "peers/volumes/check_tree.h"

namespace atl {
namespace {

// How often a journal that seems to have lost something is read again: who appends to it meanwhile
// is further on each time.
constexpr int kJournalLooks = 3;
// The file driver keeps a file for each of these.
constexpr uint64_t kBlobPiece = kTiB;

std::string SourceText(const Source& source) {
  return source.type == SourceType::kNodes ? source.nodes().ToString()
                                           : "blob " + source.blob().ToString();
}

}  // namespace

Task<void> MapChecker::Check(StoreSlot home, Header header, Findings* findings) {
  Owner owner{.header = &header, .blob_bytes = header.size};
  if (header.kind == HeaderKind::kVolume) {
    owner.recount = {.kind = RepairKind::kRewriteCounts, .slot = home, .uuid = header.uuid};
  }
  co_await CheckState(owner, header.map, findings);
  if (header.kind == HeaderKind::kVolume) co_await CheckCurrent(owner, home, findings);
  if (!header.pending) co_return;
  owner.recount = {};
  owner.blob_bytes = std::max(header.size, header.pending->size);
  co_await CheckState(owner, header.pending->map, findings);
}

Task<void> MapChecker::CheckState(Owner owner, const MapState& map, Findings* findings) {
  const MapState state = map;
  co_await CheckRoot(owner, state.root, findings);
  for (const ReplayJournal& journal : state.replay) {
    co_await CheckReplay(owner, journal, findings);
  }
}

// --- The tree ------------------------------------------------------------------------------------

Task<void> MapChecker::CheckRoot(Owner owner, RootPointer pointer, Findings* findings) {
  const std::pair place(pointer.log(), pointer.offset);
  if (pointer.absent() || pace_->cancelled()) co_return;
  const auto root = co_await ReadRoot(stores_, pointer);
  if (!root.ok()) {
    findings->Error(AbsentIsDamage(root.status()).ToString());
    co_return;
  }
  co_await CheckSources(owner, *root, findings);
  if (roots_.contains(place)) co_return;
  TreeWalk walk(stores_, &*root, pace_);
  co_await walk.Run();
  totals_.nodes += walk.nodes() + 1;
  for (const std::string& problem : walk.problems()) findings->Error(problem);
  if (!walk.problems().empty() || pace_->cancelled()) co_return;
  const bool right = findings->empty();
  CheckCounts(owner, *root, walk.counts(), findings);
  if (right && findings->empty()) roots_.insert(place);
}

void MapChecker::CheckCounts(Owner owner, const Root& root, const std::vector<uint64_t>& counts,
                             Findings* findings) {
  for (const auto& [index, source] : root.sources) {
    const uint64_t counted = counts[index];
    if (counted == source.count) continue;
    findings->Error(
        fmt::format("source table: {} is said to serve {} {}, and serves {}", SourceText(source),
                    source.count, source.type == SourceType::kNodes ? "nodes" : "sub-grains",
                    counted),
        owner.recount);
  }
}

Task<void> MapChecker::CheckSources(Owner owner, const Root& root, Findings* findings) {
  const Header& header = *owner.header;
  for (const auto& [index, source] : root.sources) {
    if (pace_->cancelled()) co_return;
    if (source.type == SourceType::kManifest || (source.flags & kSourceUnsealed) != 0) {
      findings->Error(fmt::format("source table: {} is of a kind that this version cannot read",
                                  SourceText(source)));
      continue;
    }
    const bool own = source.owner == header.uuid && header.kind == HeaderKind::kVolume;
    const uint32_t last = source.type == SourceType::kNodes ? header.node_sequence : header.epoch;
    if (own && source.epoch > last) {
      findings->Error(fmt::format("source table: {} is newer than its volume, which is at {}",
                                  SourceText(source), last));
    }
    if (source.type == SourceType::kNodes) {
      co_await CheckLog(source.store, source.nodes(), findings);
    } else {
      co_await CheckBlob(source.store, source.blob(), owner.blob_bytes, findings);
    }
  }
}

// --- Blobs and logs ------------------------------------------------------------------------------

// There, and each of its files can be read: the first sector of each of them is.
Task<void> MapChecker::CheckBlob(const Uuid& store_uuid, BlobId blob, uint64_t bytes,
                                 Findings* findings) {
  const std::pair key(blob, bytes);
  if (blobs_.contains(key)) co_return;
  const auto slot = stores_->Find(store_uuid);
  if (!slot.ok()) {
    findings->Error(slot.status().With("blob " + blob.ToString()).ToString());
    co_return;
  }
  Store& store = stores_->at(*slot);
  Status status = (co_await store.Usage(blob)).status();
  std::byte sector[kSector];
  for (uint64_t at = 0; at < bytes && status.ok(); at += kBlobPiece) {
    status = co_await store.Read(blob, at, MutSpan(sector));
    co_await pace_->Spend(kSector);
  }
  if (!status.ok()) {
    const std::string context = "blob " + blob.ToString();
    findings->Error(AbsentIsDamage(status).With(context).ToString());
    co_return;
  }
  ++totals_.blobs;
  blobs_.insert(key);
}

Task<void> MapChecker::CheckLog(const Uuid& store_uuid, LogId log, Findings* findings) {
  if (logs_.contains(log)) co_return;
  const auto slot = stores_->Find(store_uuid);
  const Status status =
      slot.ok() ? (co_await stores_->at(*slot).LogUsage(log)).status() : slot.status();
  if (!status.ok()) {
    findings->Error(AbsentIsDamage(status).ToString());
    co_return;
  }
  logs_.insert(log);
}

// --- Journals ------------------------------------------------------------------------------------

Task<void> MapChecker::CheckReplay(Owner owner, ReplayJournal journal, Findings* findings) {
  if (pace_->cancelled()) co_return;
  co_await CheckBlob(journal.blob_store, journal.blob(), owner.blob_bytes, findings);
  const std::pair key(journal.log(), journal.length);
  if (journals_.contains(key)) co_return;
  const auto slot = stores_->Find(journal.store);
  if (!slot.ok()) {
    findings->Error(slot.status().With(journal.log().ToString()).ToString());
    co_return;
  }
  const auto bytes = co_await ReadWholeLog(&stores_->at(*slot), journal.log(), journal.length);
  if (!bytes.ok()) {
    findings->Error(AbsentIsDamage(bytes.status()).ToString());
    co_return;
  }
  co_await pace_->Spend(bytes->size());
  const auto content = ReadPinnedJournal(journal.log(), *bytes, journal.length);
  if (!content.ok()) {
    findings->Error(content.status().ToString());
    co_return;
  }
  if (content->entries.size() != journal.entries) {
    findings->Error(fmt::format("{} has {} entries, and its header says {}",
                                journal.log().ToString(), content->entries.size(),
                                journal.entries));
    co_return;
  }
  ++totals_.journals;
  journals_.insert(key);
}

// The blob and the journal to which a volume writes, or would.
Task<void> MapChecker::CheckCurrent(Owner owner, StoreSlot home, Findings* findings) {
  const Header& header = *owner.header;
  if (pace_->cancelled()) co_return;
  const Status there = co_await CheckCurrentIsThere(&stores_->at(home), header);
  if (!there.ok()) {
    findings->Error(there.ToString());
    co_return;
  }
  if (!header.begun) co_return;
  co_await CheckBlob(header.epoch_store, header.blob(), owner.blob_bytes, findings);
  const auto slot = stores_->Find(header.epoch_store);
  if (!slot.ok()) co_return;
  const Status journal = co_await CheckCurrentJournal(&stores_->at(*slot), header.journal());
  if (!journal.ok()) findings->Error(journal.ToString());
  ++totals_.journals;
}

// Of what may be missing at its end after a crash nothing is said; what had been durable is there.
Task<Status> MapChecker::CheckCurrentJournal(Store* store, LogId log) {
  Status status;
  for (int look = 0; look < kJournalLooks; ++look) {
    const auto bytes = co_await ReadWholeLog(store, log, kJournalCapacity);
    if (!bytes.ok()) co_return AbsentIsDamage(bytes.status());
    co_await pace_->Spend(bytes->size());
    const StoreInfo& info = store->info();
    const JournalContent content =
        RecoverJournal(log, *bytes, info.cache, info.capabilities.durable_at_ack);
    if (content.damaged) {
      status = Status(Code::kCorrupt, fmt::format("{} has lost flushed changes: {}", log.ToString(),
                                                  content.stopped.message()));
    } else if (content.stopped.code() == Code::kUnsupported) {
      status = content.stopped.With(log.ToString());
    } else {
      co_return OkStatus();
    }
  }
  co_return status;
}

}  // namespace atl
