// SPDX-License-Identifier: Apache-2.0
//
// libatoll for a front end in a process of its own: the composer's, one hop a call. Devices take
// their payload buffers from the segment, so what a front end receives there is what the store's
// driver writes.
//
// A call that the composer dies over is made again by its successor. Errors: those of the calls,
// and kUnavailable once the composer has ended for good.
//
// Threads: the client's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/node_control.h"
#include "peers/port_rpc/peer_port.h"
#include "peers/volumes/remote/port_session.h"

namespace atl {

class PortAtoll : public Atoll {
 public:
  // The port outlives it and all devices.
  PortAtoll(PeerPort* port, RpcTarget composer)
      : client_(&port->client()),
        buffers_(&port->buffers()),
        composer_(std::move(composer)),
        session_(client_, composer_) {}

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

  Task<Result<Report>> Trace(std::string name, bool json);
  // The composer has died, and there is another one: its devices are opened anew there.
  void Rejoin() { session_.Rejoin(); }

 private:
  RpcClient* client_;
  BufferPool* buffers_;
  RpcTarget composer_;
  PortSession session_;
};

}  // namespace atl
