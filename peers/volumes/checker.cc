// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/checker.h"

#include <fmt/format.h>

#include "peers/volumes/garbage.h"

namespace atl {
namespace {

// A resource that changes each time is looked at so often; what is wrong then is wrong.
constexpr int kMaxLooks = 5;

}  // namespace

// --- What was found ------------------------------------------------------------------------------

void Checker::Add(Findings findings) {
  for (Found& found : findings.Take()) found_.push_back(std::move(found));
}

bool Checker::has_errors() const {
  for (const Found& found : found_) {
    if (found.finding.severity == Severity::kError && !found.finding.repaired) return true;
  }
  return false;
}

CheckReport Checker::Report() const {
  CheckReport report;
  report.resources = resources_;
  report.records = records_;
  report.nodes = maps_.totals().nodes;
  report.journals = maps_.totals().journals;
  report.blobs = maps_.totals().blobs;
  report.garbage = garbage_;
  const auto add = [&](Severity severity) {
    for (const Found& found : found_) {
      if (found.finding.severity != severity) continue;
      const bool repaired = found.finding.repaired;
      ++(repaired ? report.repaired : severity == Severity::kError ? report.errors : report.notes);
      if (report.findings.size() < kMaxFindings) report.findings.push_back(found.finding);
    }
  };
  // Errors first, should there be too many to list.
  add(Severity::kError);
  add(Severity::kNote);
  return report;
}

std::string Checker::NameOf(const Uuid& uuid) const {
  const auto found = labels_.find(uuid);
  return found == labels_.end() ? uuid.ToString() : found->second;
}

Findings Checker::Of(StoreSlot slot, const Uuid& uuid) const {
  return {stores_->at(slot).info().name, NameOf(uuid)};
}

Findings Checker::OfStore(StoreSlot slot) const { return {stores_->at(slot).info().name, ""}; }

// --- The order of things -------------------------------------------------------------------------

Task<void> Checker::CheckAll() {
  const auto slots = static_cast<StoreSlot>(stores_->size());
  for (StoreSlot slot = 0; slot < slots; ++slot) {
    co_await CheckSuperblock(slot);
    co_await ReadNames(slot);
  }
  for (StoreSlot slot = 0; slot < slots; ++slot) co_await ReadHeaders(slot);
  for (const auto& [uuid, seen] : headers_) {
    if (seen.live && !pace_->cancelled()) co_await CheckResource(seen.slot, uuid);
  }
  co_await CheckNames();
  for (StoreSlot slot = 0; slot < slots; ++slot) {
    co_await CheckLocks(slot);
    co_await CheckLeases(slot);
    co_await CheckOwners(slot);
  }
}

Task<void> Checker::CheckOne(StoreSlot slot, Uuid uuid) {
  co_await CheckResource(slot, uuid);
  co_await CheckLock(slot, uuid);
}

Task<void> Checker::CountGarbage() {
  GarbageCollector collector(env_, stores_, identity_);
  const auto report = co_await collector.Run(true);
  if (report.ok()) {
    garbage_ = {.known = true,
                .blobs = report->blobs,
                .logs = report->logs,
                .records = report->records,
                .leftovers = report->leftovers,
                .bytes = report->freed_bytes};
  }
}

// --- Resources -----------------------------------------------------------------------------------

Task<void> Checker::CheckResource(StoreSlot slot, Uuid uuid) {
  Store& store = stores_->at(slot);
  ++resources_;
  for (int look = 1;; ++look) {
    const auto header = co_await ReadHeader(&store, uuid, ReadFor::kLook);
    if (header.code() == Code::kNotFound || pace_->cancelled()) co_return;
    if (!header.ok()) {
      Findings findings = Of(slot, uuid);
      findings.Error(header.status().ToString());
      Add(std::move(findings));
      co_return;
    }
    if (header->header.state == HeaderState::kRemoved) co_return;
    labels_[uuid] = header->header.name;
    Findings findings = Of(slot, uuid);
    co_await CheckHeader(slot, header->header, &findings);
    if (findings.empty()) co_return;
    const auto again = co_await ReadHeader(&store, uuid, ReadFor::kLook);
    const bool same = again.ok() && again->version == header->version;
    if (!same && look < kMaxLooks) continue;
    Add(std::move(findings));
    co_return;
  }
}

Task<void> Checker::CheckHeader(StoreSlot slot, Header header, Findings* findings) {
  if (header.kind == HeaderKind::kVolume && !stores_->Find(header.epoch_store).ok()) {
    findings->Error(
        fmt::format("header: its current blob is in store {}, which this node does not "
                    "have",
                    header.epoch_store.ToString()));
  }
  if (!header.read_only_reason.empty()) {
    findings->Note("read-only: " + header.read_only_reason);
  }
  co_await CheckName(slot, header, findings);
  co_await CheckParent(slot, header, findings);
  co_await CheckPending(slot, header, findings);
  co_await maps_.Check(slot, std::move(header), findings);
}

// A name is taken before a header carries it, and given back after none does.
Task<void> Checker::CheckName(StoreSlot slot, Header header, Findings* findings) {
  const RecordKey key = NameKey(header.name_space, header.name);
  const auto record = co_await stores_->catalog().GetRecord(key, ReadFor::kLook);
  if (record.code() == Code::kNotFound) {
    findings->Error(fmt::format("name record: there is none of {}, so it is found by its uuid {} "
                                "only",
                                header.name, header.uuid.ToString()),
                    {.kind = RepairKind::kPutName, .slot = slot, .uuid = header.uuid});
    co_return;
  }
  // A damaged one is told of where all of them are read.
  const auto name =
      record.ok() ? DecodeNameRecord(record->payload, key) : Result<NameRecord>(record.status());
  if (!name.ok()) {
    findings->Error(name.status().ToString());
    co_return;
  }
  if (name->uuid != header.uuid) {
    findings->Error(
        fmt::format("name record: that of {} belongs to {}, so this one is found by "
                    "its uuid {} only",
                    header.name, name->uuid.ToString(), header.uuid.ToString()));
  } else if (name->store != stores_->at(slot).info().uuid) {
    findings->Error(fmt::format("name record: that of {} says that it is in store {}", header.name,
                                name->store.ToString()));
  }
}

// A parent may be gone; what is there must be one.
Task<void> Checker::CheckParent(StoreSlot slot, Header header, Findings* findings) {
  if (header.parent.is_zero()) co_return;
  const auto parent = co_await ReadHeader(&stores_->at(slot), header.parent, ReadFor::kLook);
  if (!parent.ok()) co_return;
  const bool snapshot = header.kind == HeaderKind::kSnapshot;
  const HeaderKind wanted = snapshot ? HeaderKind::kVolume : HeaderKind::kSnapshot;
  // A tombstone that was put where nothing was says nothing of what had been there.
  if (parent->header.state == HeaderState::kLive && parent->header.kind != wanted) {
    findings->Error(fmt::format("header: it is said to be {} {}, which is none",
                                snapshot ? "a snapshot of volume" : "a clone of snapshot",
                                parent->header.name));
  }
}

Task<void> Checker::CheckPending(StoreSlot slot, Header header, Findings* findings) {
  if (!header.pending) co_return;
  const PendingOperation& pending = *header.pending;
  const Repair repair{.kind = RepairKind::kFinishPending, .slot = slot, .uuid = header.uuid};
  const std::string_view what = pending.kind == PendingKind::kSnapshot   ? "snapshot"
                                : pending.kind == PendingKind::kRollback ? "rollback to"
                                                                         : "clone of";
  findings->Note(fmt::format("unfinished: {} {}; the next open finishes it", what, pending.name),
                 repair);
}

}  // namespace atl
