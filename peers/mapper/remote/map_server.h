// SPDX-License-Identifier: Apache-2.0
//
// Maps, served to the composer (peers/map_ops.h). Arguments are checked here as far as a map takes
// them for granted; a caller that breaks the rules gets an error and harms its own map at most.
// Handles of an earlier mapper on this port are kStale: the composer opens those maps anew.
//
// Threads: the port's. The opener outlives it; Shutdown before it is destroyed.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "peers/map_ops.h"
#include "peers/mapper/map_opener.h"
#include "peers/port_rpc/rpc_server.h"
#include "xseg/base/sync.h"

namespace atl {

class MapServer {
 public:
  // `store_slots`: how many there are. `life`: the port's incarnation.
  MapServer(MapOpener* maps, size_t store_slots, uint32_t life)
      : maps_(maps), store_slots_(store_slots), life_(life), next_handle_(FirstHandle(life)) {}
  ~MapServer();

  // Closes what is still open.
  Task<void> Shutdown();
  size_t open_maps() const { return open_.size(); }

  Task<Result<OpenMapState>> Do(const RpcCall& call, MapOpenOp& op);
  Task<Result<MapRuns>> Do(const RpcCall& call, MapTranslateOp& op);
  Task<Result<MapAdmitted>> Do(const RpcCall& call, MapAdmitOp& op);
  Task<Result<MapCommitted>> Do(const RpcCall& call, MapCommitOp& op);
  Task<Status> Do(const RpcCall& call, MapBarrierOp& op);
  Task<Status> Do(const RpcCall& call, MapPreparePinOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapPinOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapGrowOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapClearPendingOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapSetNameOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapSetReadOnlyOp& op);
  Task<Result<OpenMapState>> Do(const RpcCall& call, MapEndOpeningOp& op);
  Task<Status> Do(const RpcCall& call, MapAbandonOp& op);
  Task<Status> Do(const RpcCall& call, MapCloseOp& op);
  // Closes what the dead port had open, as an unclean end: nothing is flushed.
  Task<Status> Do(const RpcCall& call, PeerGoneOp& op);

 private:
  struct OpenMap {
    uint64_t handle = 0;
    PortIndex owner = kNoPort;
    std::unique_ptr<MapApi> map;
    uint64_t admitted = 0;  // By this server for the owner, and not left yet.
    uint64_t version = 0;   // Of the last state that was told.
    uint64_t writing = 0;   // Commits and barriers that run.
    bool pinning = false;
    bool closing = false;
    Gate gate;  // Everything but closing.
  };
  // Keeps the map open while something is done with it.
  struct Use {
    std::shared_ptr<OpenMap> open;
    Gate::Pass pass;
    MapApi* operator->() const { return open->map.get(); }
  };

  enum class For : uint8_t {
    kLook,
    kAdmit,   // The map is writable; while it is pinned one waits.
    kChange,  // And it is not being pinned.
  };
  Task<Result<Use>> Find(const RpcCall& call, uint64_t handle, For purpose);
  Task<Result<std::unique_ptr<MapApi>>> Open(const MapOpenOp& op);
  Status CheckHandle(const RpcCall& call, uint64_t handle) const;
  Task<Status> CloseOne(std::shared_ptr<OpenMap> open, std::string why);
  static Status Admit(OpenMap& open, uint32_t leave, uint32_t want, uint32_t* admitted);
  static Result<OpenMapState> StateOf(OpenMap& open);
  static Result<OpenMapState> StateAfter(OpenMap& open, const Status& status);

  MapOpener* maps_;
  size_t store_slots_;
  uint32_t life_;
  uint64_t next_handle_;
  std::map<uint64_t, std::shared_ptr<OpenMap>> open_;
  Signal closed_;
};

}  // namespace atl
