// SPDX-License-Identifier: Apache-2.0
//
// libatoll inside of a node: the volume operations over records, maps and composers. Each operation
// is a short sequence of steps of which one is the commit; what stands before it is undone or
// ignored, what stands behind it is finished by whoever opens the resource next. The sequences are
// in docs/architecture.md, "Volume operations".
//
// Threads: one executor thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/node_control.h"
#include "peers/volumes/lease.h"
#include "peers/volumes/locks.h"
#include "peers/volumes/names.h"
#include "peers/volumes/open_table.h"
#include "peers/volumes/scrubber.h"

namespace atl {

class LocalAtoll final : public Atoll {
 public:
  // All outlive it. `buffers` is where payload of all its devices is.
  LocalAtoll(Env* env, StoreSet* stores, MapOpener* maps, BufferPool* buffers,
             NodeIdentity identity, ComposerOptions options = {});
  ~LocalAtoll() override;

  // Says for the incarnation that had this node's state before, and is known to be dead, that its
  // leases have ended.
  Task<Status> BuryPredecessor(Uuid incarnation);
  // Closes everything. Devices are closed already or fail from now on. The last call.
  Task<Status> Shutdown();

  Task<Result<ResourceInfo>> Create(CreateSpec spec) override;
  Task<Result<ResourceInfo>> Snapshot(SnapshotSpec spec) override;
  Task<Result<ResourceInfo>> Show(ResourceRef ref, bool with_space) override;
  Task<Result<ResourcePage>> List(ListSpec spec) override;
  Task<Result<ResourceInfo>> Resize(ResourceRef ref, uint64_t size, bool allow_shrink) override;
  Task<Result<ResourceInfo>> Rename(ResourceRef ref, std::string name) override;
  Task<Status> Remove(ResourceRef ref) override;
  Task<Result<ResourceInfo>> Rollback(ResourceRef ref, ResourceRef snapshot) override;
  Task<Result<std::unique_ptr<Device>>> Open(ResourceRef ref, OpenMode mode) override;
  Task<Status> Acquire(ResourceRef ref) override;
  Task<Status> Release(ResourceRef ref) override;
  Task<Result<LockInfo>> GetLock(ResourceRef ref) override;
  Task<Status> BreakLock(ResourceRef ref, bool force) override;
  Task<Result<std::vector<StoreState>>> Stores() override;
  Task<Result<GcReport>> CollectGarbage(bool dry_run) override;
  Task<Result<CheckReport>> Check(CheckSpec spec) override;
  Task<Result<ScrubStatus>> Scrub(ScrubSpec spec) override;
  Task<Result<std::vector<PortStats>>> Stats() override;

  OpenTable& open_table() { return table_; }
  // Rows that front ends have for Stats.
  using StatsSource = std::function<std::vector<PortStats>()>;
  void SetStatsSource(StatsSource source) { stats_source_ = std::move(source); }
  // Where the time of an open volume's requests goes.
  Task<Result<Report>> Trace(std::string name, bool json);

 private:
  Task<Result<Located>> Locate(ResourceRef ref);
  Task<Result<Located>> LocateVolume(ResourceRef ref, std::string verb);
  Task<Result<Located>> LocateSnapshot(ResourceRef ref);
  Task<Result<ResourceInfo>> Info(Uuid uuid, StoreSlot slot);
  ResourceInfo InfoOf(const Located& located) const;

  Task<Result<Header>> PrepareClone(const CreateSpec& spec, StoreSlot* slot);
  Task<Status> CommitRename(StoreSlot slot, Uuid uuid, Uuid name_space, std::string name);
  Task<Status> GiveUpLost(NameRecord record);
  Task<Status> EndReadOnly(Located volume);
  Task<Status> Shrink(const Located& located, uint64_t size);
  Task<Status> RollbackClosed(const Located& volume, const Located& snapshot);
  Task<Status> PutRollback(Store* store, VersionedHeader* header, const Located& snapshot);
  Task<Status> RunCheck(const CheckSpec& spec, Checker* checker);
  Task<Status> Collect(bool repair, Checker* checker);
  Task<Status> DoRepair(const Found& found);
  Task<Status> DiscardName(Repair repair);
  Task<Status> FinishPending(StoreSlot slot, Header header);
  Task<Status> RewriteCounts(StoreSlot slot, Header header);
  Task<Status> PutCounts(Store* store, Uuid uuid);
  // Those that can be read; the others' uuids and what is wrong with them go to `damaged`.
  Task<Result<std::vector<Located>>> AllLive(std::map<Uuid, Status>* damaged = nullptr);
  Task<Result<SpaceUse>> MeasureSpace(Uuid uuid);

  Env* env_;
  StoreSet* stores_;
  NodeIdentity identity_;
  BufferPool* buffers_;
  Locks locks_;
  Names names_;
  OpenTable table_;
  Scrubber scrubber_;
  std::set<Pace*> checks_;  // Under way.
  bool aborted_ = false;
  StatsSource stats_source_;
};

}  // namespace atl
