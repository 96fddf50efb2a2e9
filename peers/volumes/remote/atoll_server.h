// SPDX-License-Identifier: Apache-2.0
//
// An Atoll, served to the node's front ends over ports (peers/port_ops.h). Devices belong to the
// port that opened them; what is still open when its owner dies is closed. Handles of an earlier
// composer on this port are kStale.
//
// After the death of a composer each front end opens its devices anew and makes its changes again
// before it does anything else, and says when that is done (port_session.h). Until all of them
// have, for at most kMostAwaited, nothing else begins: else what others do now would be undone by
// it. What needs a volume that nobody uses is refused for as long as one is missing, whose clients
// may use it.
//
// Threads: the port's. The Atoll outlives it; Shutdown before it is destroyed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/holdings.h"
#include "peers/port_ops.h"
#include "peers/port_rpc/rpc_server.h"
#include "peers/volumes/remote/device_line.h"
#include "xseg/base/alarm.h"
#include "xseg/base/sync.h"

namespace atl {

class AtollServer {
 public:
  using Trace = std::function<Task<Result<Report>>(std::string name, bool json)>;

  static constexpr size_t kMaxDevicesOfPort = 4096;

  static constexpr int64_t kMostAwaited = 5 * kSecond;

  // `life`: the port's incarnation. The keeper, if there is one, outlives it.
  AtollServer(Env* env, Atoll* atoll, Trace trace, uint32_t life, HoldingsKeeper* keeper = nullptr)
      : env_(env),
        atoll_(atoll),
        trace_(std::move(trace)),
        life_(life),
        next_handle_(FirstHandle(life)),
        keeper_(keeper),
        patience_(*env) {}

  // For who takes the place of a dead one, before anything is served: what was held open is held
  // again, in the background, and these front ends will say PortRejoinedOp.
  void Inherit(const std::vector<Holding>& holdings, const std::vector<PortIndex>& front_ends);
  // Closes all devices.
  Task<void> Shutdown();
  size_t open_devices() const { return devices_.size(); }

  Task<Result<ResourceInfo>> Do(const RpcCall&, CreateOp& op);
  Task<Result<ResourceInfo>> Do(const RpcCall&, SnapshotOp& op);
  Task<Result<ResourceInfo>> Do(const RpcCall&, ShowOp& op);
  Task<Result<ResourcePage>> Do(const RpcCall&, ListOp& op);
  Task<Result<ResourceInfo>> Do(const RpcCall&, ResizeOp& op);
  Task<Result<ResourceInfo>> Do(const RpcCall& call, RenameOp& op);
  Task<Status> Do(const RpcCall& call, RemoveOp& op);
  Task<Result<ResourceInfo>> Do(const RpcCall& call, RollbackOp& op);
  Task<Status> Do(const RpcCall&, AcquireOp& op);
  Task<Status> Do(const RpcCall&, ReleaseOp& op);
  Task<Result<LockInfo>> Do(const RpcCall&, GetLockOp& op);
  Task<Status> Do(const RpcCall& call, BreakLockOp& op);
  Task<Result<std::vector<StoreState>>> Do(const RpcCall&, StoresOp& op);
  Task<Result<GcReport>> Do(const RpcCall&, CollectGarbageOp& op);
  Task<Result<std::vector<PortStats>>> Do(const RpcCall&, StatsOp& op);
  Task<Result<CheckReport>> Do(const RpcCall&, CheckOp& op);
  Task<Result<ScrubStatus>> Do(const RpcCall&, ScrubOp& op);

  Task<Result<OpenReply>> Do(const RpcCall& call, PortOpenOp& op);
  Task<Status> Do(const RpcCall& call, PortCloseOp& op);
  Task<Status> Do(const RpcCall& call, PortReadOp& op);
  Task<Status> Do(const RpcCall& call, PortWriteOp& op);
  Task<Status> Do(const RpcCall& call, PortFlushOp& op);
  Task<Status> Do(const RpcCall& call, PortDiscardOp& op);
  Task<Status> Do(const RpcCall& call, PortWriteZeroesOp& op);
  Task<Result<DeviceExtents>> Do(const RpcCall& call, PortExtentsOp& op);
  Task<Status> Do(const RpcCall& call, PortPrefetchOp& op);
  Task<Result<DeviceInfo>> Do(const RpcCall& call, PortInfoOp& op);
  Task<Status> Do(const RpcCall& call, PortRejoinedOp& op);
  Task<Result<Report>> Do(const RpcCall&, PeerTraceOp& op);
  Task<Status> Do(const RpcCall&, PeerGoneOp& op);

 private:
  struct Open {
    PortIndex owner = kNoPort;
    std::unique_ptr<Device> device;
    DeviceLine line;
  };
  using OpenRef = std::shared_ptr<Open>;
  Result<OpenRef> Find(const RpcCall& call, uint64_t handle) const;
  // The same, once nothing is in the way of a new request.
  template <typename O>
  Task<Result<OpenRef>> Admit(const RpcCall& call, const O& op);
  Task<void> HoldAgain(Uuid uuid);
  Task<void> Rejoined();
  Task<Status> AllRejoined();
  Task<Status> MayAct(const RpcCall& call);
  void AwaitFrom(PortIndex port);
  void NoLongerAwait(PortIndex port);
  Task<void> LosePatience();
  Task<void> Close(OpenRef open);

  Env* env_;
  Atoll* atoll_;
  Trace trace_;
  uint32_t life_;
  uint64_t next_handle_;
  std::map<uint64_t, OpenRef> devices_;
  std::map<PortIndex, uint64_t> deaths_;  // Of those who had a port.
  HoldingsKeeper* keeper_;

  std::set<PortIndex> awaited_;  // Who will say PortRejoinedOp.
  std::set<PortIndex> missing_;  // And has not in time.
  Signal rejoined_;
  Alarm patience_;
  bool is_waiting_ = false;
  bool stopping_ = false;
  TaskGroup background_;
};

}  // namespace atl
