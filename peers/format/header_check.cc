// SPDX-License-Identifier: Apache-2.0
#include "peers/format/header_check.h"

#include <fmt/format.h>

#include <set>

#include "peers/format/journal.h"

namespace atl {
namespace {

Status Invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }

Status CheckRoot(const RootPointer& root, const Header& header) {
  if (root.absent()) {
    if (root != RootPointer{}) return Invalid("an absent root has fields set");
    return {};
  }
  if (root.owner.is_zero() || root.store.is_zero())
    return Invalid("the root has no owner or store");
  if (root.sequence == 0) return Invalid("the root is in node blob 0");
  if (root.length > kMaxRootBytes) {
    return Invalid(fmt::format("the root has {} bytes, more than {}", root.length, kMaxRootBytes));
  }
  if (root.offset > kMaxNodeBlobBytes - root.length) {
    return Invalid(fmt::format("the root is at offset {}, behind any node blob", root.offset));
  }
  if (root.owner == header.uuid && root.sequence > header.node_sequence) {
    return Invalid(
        fmt::format("the root is in node blob {}, which was never begun", root.sequence));
  }
  return {};
}

Status CheckJournal(const ReplayJournal& journal, const Header& header) {
  const std::string name = journal.log().ToString();
  if (journal.owner.is_zero() || journal.store.is_zero() || journal.blob_store.is_zero()) {
    return Invalid(fmt::format("{} has no owner or store", name));
  }
  // Batches are made of 16-byte pieces, so other lengths cannot be the end of one.
  const bool whole = journal.length % kJournalEntryBytes == 0 &&
                     (journal.length == 0 || journal.length >= kJournalBatchHeader);
  if (journal.length > kJournalCapacity || !whole) {
    return Invalid(fmt::format("{} cannot have {} bytes", name, journal.length));
  }
  const uint64_t room =
      journal.length == 0 ? 0 : (journal.length - kJournalBatchHeader) / kJournalEntryBytes;
  if (journal.entries > room) {
    return Invalid(fmt::format("{} cannot have {} entries", name, journal.entries));
  }
  // The current journal has no length that counts yet; each pin begins a new one.
  const bool own = journal.owner == header.uuid;
  if (own && (journal.generation >= header.generation || journal.epoch > header.epoch)) {
    return Invalid(fmt::format("{} is replayed and not older than the current one", name));
  }
  return {};
}

Status CheckMap(const MapState& map, const Header& header) {
  RETURN_IF_ERROR(CheckRoot(map.root, header));
  if (map.replay.size() > kMaxReplayJournals) {
    return {Code::kLimit, fmt::format("{} journals to replay, at most {} may be", map.replay.size(),
                                      kMaxReplayJournals)};
  }
  uint64_t entries = 0;
  std::set<LogId> seen;
  for (const ReplayJournal& journal : map.replay) {
    RETURN_IF_ERROR(CheckJournal(journal, header));
    if (!seen.insert(journal.log()).second) {
      return Invalid(fmt::format("{} is replayed twice", journal.log().ToString()));
    }
    entries += journal.entries;
  }
  if (entries > kMaxReplayEntries) {
    return {Code::kLimit,
            fmt::format("{} entries to replay, at most {} may be", entries, kMaxReplayEntries)};
  }
  return {};
}

Status CheckName(const std::string& name, bool needed) {
  if (needed && name.empty()) return Invalid("the name is empty");
  if (name.size() > kMaxStoredName) return {Code::kLimit, "the name is too long"};
  return {};
}

Status CheckSize(uint64_t size, bool needed) {
  if ((needed && size == 0) || size > kMaxVolumeSize || !IsAligned(size, kSector)) {
    return Invalid(fmt::format("the size {} is impossible", size));
  }
  return {};
}

Status CheckPending(const PendingOperation& pending, const Header& header) {
  const auto kind = pending.kind;
  if (kind < PendingKind::kSnapshot || kind > PendingKind::kRollback) {
    return Invalid(fmt::format("pending operation {} is unknown", static_cast<int>(kind)));
  }
  if (pending.uuid.is_zero()) return Invalid("the pending operation's uuid is zero");
  const bool makes = kind == PendingKind::kSnapshot;
  RETURN_IF_ERROR(CheckName(pending.name, makes).With("pending"));
  RETURN_IF_ERROR(CheckSize(pending.size, makes).With("pending"));
  return CheckMap(pending.map, header).With("pending");
}

Status CheckKind(const Header& header) {
  const auto kind = header.kind;
  if (kind != HeaderKind::kVolume && kind != HeaderKind::kSnapshot) {
    return Invalid(fmt::format("kind {} is unknown", static_cast<int>(kind)));
  }
  const auto state = header.state;
  if (state != HeaderState::kLive && state != HeaderState::kRemoved) {
    return Invalid(fmt::format("state {} is unknown", static_cast<int>(state)));
  }
  if (kind == HeaderKind::kSnapshot && header.epoch != 0) {
    return Invalid("a snapshot has no epoch of its own");
  }
  if (kind == HeaderKind::kSnapshot && (header.begun || header.sync_failed)) {
    return Invalid("a snapshot has no journal of its own");
  }
  if (header.opening > header.generation) {
    return Invalid(fmt::format("it was opened with generation {}, and has {}", header.opening,
                               header.generation));
  }
  if (kind == HeaderKind::kSnapshot && header.opening != 0) {
    return Invalid("a snapshot is not opened for writing");
  }
  const bool live_volume = kind == HeaderKind::kVolume && state == HeaderState::kLive;
  if (live_volume && (header.epoch == 0 || header.epoch_store.is_zero())) {
    return Invalid("a volume has an epoch, from 1 on, and a store for it");
  }
  return {};
}

Status CheckBlocks(const Header& header) {
  const auto known = [](uint32_t size) { return size == 512 || size == 4096; };
  if (!known(header.logical_block) || !known(header.physical_block) ||
      header.logical_block > header.physical_block) {
    return Invalid(fmt::format("block sizes {} and {} are impossible", header.logical_block,
                               header.physical_block));
  }
  return {};
}

}  // namespace

Status CheckHeader(const Header& header) {
  if (header.uuid.is_zero()) return Invalid("the uuid is zero");
  RETURN_IF_ERROR(CheckKind(header));
  // A tombstone may have been put where no resource ever was: it needs neither name nor size.
  const bool live = header.state == HeaderState::kLive;
  RETURN_IF_ERROR(CheckName(header.name, live));
  RETURN_IF_ERROR(CheckSize(header.size, live));
  RETURN_IF_ERROR(CheckBlocks(header));
  if (header.read_only_reason.size() > kMaxReadOnlyReason) {
    return {Code::kLimit, "the reason for being read-only is too long"};
  }
  RETURN_IF_ERROR(CheckMap(header.map, header));
  if (header.pending) RETURN_IF_ERROR(CheckPending(*header.pending, header));
  return {};
}

}  // namespace atl
