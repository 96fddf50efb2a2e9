// SPDX-License-Identifier: Apache-2.0
//
// libatoll over a node's socket: the same calls as in the node's own process, one round trip each,
// any number in flight. A request larger than a message is sent in pieces, which are acknowledged
// together; a flush or FUA covers all of them.
//
// Errors: kUnavailable if no node listens at the socket or if it goes away. Calls are not repeated
// here: peers/ops.h says which may be.
//
// Lifetime: Disconnect ends the connection; devices are closed or dropped before it.
// Threads: belongs to its executor's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/node_control.h"
#include "xseg/base/executor.h"

namespace atl {

class ControlChannel;

class RemoteAtoll final : public Atoll, public NodeControl {
 public:
  static Result<std::unique_ptr<RemoteAtoll>> Connect(Executor& executor,
                                                      const std::string& socket_path);
  ~RemoteAtoll() override;
  Task<void> Disconnect();

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

  Task<Result<NodeStatus>> GetStatus() override;
  Task<Status> Stop() override;
  Task<Status> RestartPeer(std::string name) override;
  Task<Result<Report>> GetReport(ReportSpec spec) override;

 private:
  explicit RemoteAtoll(std::shared_ptr<ControlChannel> channel);

  std::shared_ptr<ControlChannel> channel_;
};

}  // namespace atl
