// SPDX-License-Identifier: Apache-2.0
//
// `atoll check` and `atoll scrub`, and what --repair does: only what the next open or the next
// garbage collection would do, and what can be made anew from what is there. Nothing that might
// hold data is touched. Each repair looks again before it acts, under the locks of any operation.
#include <fmt/format.h>

#include "peers/mapper/root_store.h"
#include "peers/volumes/check_tree.h"
#include "peers/volumes/checker.h"
#include "peers/volumes/garbage.h"
#include "peers/volumes/local_atoll.h"
#include "peers/volumes/reach.h"

namespace atl {

namespace {

Status Stopping() { return {Code::kUnavailable, "this node is stopping"}; }

}  // namespace

Task<Result<CheckReport>> LocalAtoll::Check(CheckSpec spec) {
  if (aborted_) co_return Stopping();
  Pace pace(env_);
  Checker checker(env_, stores_, identity_, &pace);
  checks_.insert(&pace);
  const Status status = co_await RunCheck(spec, &checker);
  checks_.erase(&pace);
  if (pace.cancelled()) co_return Stopping();
  if (!status.ok()) co_return status;
  co_return checker.Report();
}

Task<Status> LocalAtoll::RunCheck(const CheckSpec& spec, Checker* checker) {
  if (spec.only) {
    const auto located = co_await Locate(*spec.only);
    // That it cannot even be found is the finding.
    if (located.code() == Code::kCorrupt || located.code() == Code::kUnsupported) {
      Findings findings("", spec.only->name.empty() ? spec.only->uuid.ToString() : spec.only->name);
      findings.Error(located.status().ToString());
      checker->Add(std::move(findings));
      co_return OkStatus();
    }
    if (!located.ok()) co_return located.status();
    co_await checker->CheckOne(located->slot, located->header.header.uuid);
  } else {
    co_await checker->CheckAll();
  }
  for (Found& found : checker->found()) {
    if (!spec.repair || found.repair.kind == RepairKind::kNone) continue;
    const Status done = co_await DoRepair(found);
    found.finding.repaired = done.ok();
    if (!done.ok()) found.finding.what += "; not repaired: " + done.ToString();
  }
  if (spec.only) co_return OkStatus();
  co_return co_await Collect(spec.repair, checker);
}

// What is garbage is not known while something is damaged, and nothing of it is removed.
Task<Status> LocalAtoll::Collect(bool repair, Checker* checker) {
  if (checker->has_errors()) co_return OkStatus();
  co_await checker->CountGarbage();
  if (!repair || !checker->garbage().known) co_return OkStatus();
  GarbageCollector collector(env_, stores_, identity_);
  co_return (co_await collector.Run(false)).status();
}

Task<Result<ScrubStatus>> LocalAtoll::Scrub(ScrubSpec spec) {
  if (spec.action == ScrubAction::kCancel) scrubber_.Cancel();
  if (spec.action == ScrubAction::kAbort) {
    aborted_ = true;
    for (Pace* pace : checks_) pace->Cancel();
    scrubber_.Cancel();
  }
  if (spec.action == ScrubAction::kStart) {
    if (aborted_) co_return Stopping();
    std::optional<Located> only;
    if (spec.only) {
      CO_ASSIGN_OR_RETURN(only, co_await Locate(*spec.only));
    }
    CO_RETURN_IF_ERROR(scrubber_.Start(std::move(only), spec.rate));
  }
  co_return scrubber_.GetStatus();
}

// --- Repairs -------------------------------------------------------------------------------------

Task<Status> LocalAtoll::DoRepair(const Found& found) {
  const Repair repair = found.repair;
  Store& store = stores_->at(repair.slot);
  if (repair.kind == RepairKind::kDiscardName) co_return co_await DiscardName(repair);
  CO_ASSIGN_OR_RETURN(const VersionedHeader header,
                      co_await ReadHeader(&store, repair.uuid, ReadFor::kAct));
  const Header& now = header.header;
  if (now.state != HeaderState::kLive) co_return OkStatus();
  if (repair.kind == RepairKind::kPutName) {
    co_return co_await names_.Claim(now.name_space, now.name, now.uuid, store.info().uuid);
  }
  const auto closed = co_await table_.Exclude(now.uuid, now.name);
  if (!closed.ok()) co_return closed.status();
  switch (repair.kind) {
    case RepairKind::kFinishPending:
      co_return co_await FinishPending(repair.slot, now);
    case RepairKind::kFreeLock:
      co_return co_await locks_.Break(&store, now, false);
    case RepairKind::kRewriteCounts:
      co_return co_await RewriteCounts(repair.slot, now);
    default:
      co_return Status(Code::kInternal, "no repair of this kind");
  }
}

// A snapshot that was decided has a name before it has a header, and is found by its volume only.
Task<Status> LocalAtoll::DiscardName(Repair repair) {
  const auto headers = co_await ReadAllHeaders(&stores_->at(repair.slot), ReadFor::kAct);
  if (!headers.ok()) co_return headers.status();
  for (const VersionedHeader& found : *headers) {
    const auto& pending = found.header.pending;
    if (!pending || pending->uuid != repair.uuid) continue;
    co_return Status(Code::kBusy,
                     fmt::format("an unfinished operation of {} has it", found.header.name));
  }
  co_return co_await names_.Discard(repair.key);
}

Task<Status> LocalAtoll::FinishPending(StoreSlot slot, Header header) {
  const Status opened = co_await table_.OpenAndClose(slot, header.uuid);
  // A clone whose snapshot is gone was never finished, and goes.
  const bool withdrawn = opened.code() == Code::kNotFound && header.pending &&
                         header.pending->kind == PendingKind::kClone;
  co_return withdrawn ? OkStatus() : opened;
}

// A new root over the same tree, with the counts that it has, in a node blob of its own. Nobody has
// the volume open, and nobody can open it meanwhile.
Task<Status> LocalAtoll::RewriteCounts(StoreSlot slot, Header header) {
  Store& store = stores_->at(slot);
  const auto lease = co_await table_.Lease(slot);
  if (!lease.ok()) co_return lease.status();
  std::optional<BlobId> taken;
  const Status acquired = co_await locks_.AcquireWriter(&store, header.uuid, header.name, &taken);
  if (!acquired.ok()) co_return co_await table_.NotAcquired(slot, header.uuid, acquired);
  const Status written = co_await PutCounts(&store, header.uuid);
  if (taken) co_await store.Disown(*taken);
  const Status released = co_await table_.ReleaseLock(slot, header.uuid);
  co_return written.ok() ? released : written;
}

Task<Status> LocalAtoll::PutCounts(Store* store, Uuid uuid) {
  CO_ASSIGN_OR_RETURN(VersionedHeader header, co_await ReadHeader(store, uuid, ReadFor::kAct));
  const Header before = header.header;
  CO_ASSIGN_OR_RETURN(Root root, co_await ReadRoot(stores_, before.map.root));
  Pace pace(env_);
  TreeWalk walk(stores_, &root, &pace);
  co_await walk.Run();
  if (!walk.problems().empty()) co_return Status(Code::kCorrupt, walk.problems()[0]);
  const auto same = [&before](const Header& next) -> Status {
    const bool unchanged = next.generation == before.generation && next.map == before.map &&
                           next.state == HeaderState::kLive;
    return unchanged ? OkStatus() : Status(Code::kBusy, "it was opened by another node meanwhile");
  };
  // The node blob is named before it is made.
  CO_RETURN_IF_ERROR(co_await ChangeHeader(env_, store, &header, [&](Header* next) -> Status {
    RETURN_IF_ERROR(same(*next));
    next->node_sequence += 1;
    return {};
  }));
  const std::vector<uint64_t>& counts = walk.counts();
  for (auto& [index, source] : root.sources) source.count = counts[index];
  std::erase_if(root.sources, [](const auto& entry) { return entry.second.count == 0; });
  const LogId log = LogId::Nodes(uuid, header.header.node_sequence);
  CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeRoot(root, NodePlace{log, 0}));
  CO_RETURN_IF_ERROR(co_await store->AdoptLog(log, 0));
  Status put = co_await store->Append(log, 0, bytes);
  if (put.ok()) put = co_await store->SyncLog(log);
  if (!put.ok()) co_await store->DisownLog(log);
  CO_RETURN_IF_ERROR(put);
  const RootPointer pointer{uuid,
                            log.epoch,
                            store->info().uuid,
                            0,
                            static_cast<uint32_t>(bytes.size()),
                            RootChecksum(bytes)};
  const HeaderChange publish = [&](Header* next) -> Status {
    RETURN_IF_ERROR(same(*next));
    next->map.root = pointer;
    next->node_sequence += 1;  // Nobody appends to what the root is in.
    return {};
  };
  const Status published = co_await ChangeHeader(env_, store, &header, publish);
  co_await store->DisownLog(log);
  co_return published;
}

}  // namespace atl
