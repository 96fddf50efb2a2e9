// SPDX-License-Identifier: Apache-2.0
//
// A store, served to the other peers of the node (peers/store_ops.h). All of them share the one
// instance. Arguments are checked here as far as a driver takes them for granted.
//
// Whoever takes the place of this process if it dies has to adopt what it has adopted, before it
// does anything for anybody; so the keeper, outside of this process, knows that first.
//
// Threads: the port's. Store and keeper outlive it.
#pragma once

#include <set>

#include "peers/holdings.h"
#include "peers/port_rpc/rpc_server.h"
#include "peers/store/store.h"
#include "peers/store_ops.h"

namespace atl {

class StoreServer {
 public:
  // Without a keeper nobody can take this process's place.
  explicit StoreServer(Store* store, HoldingsKeeper* keeper = nullptr)
      : store_(store), keeper_(keeper) {}

  // The store's blobs may be read there without asking it.
  void TellFolder(BlobFolder folder) { folder_ = folder; }

  // For who takes the place of a dead one: adopts what that one had. What cannot be had any more is
  // another's, and who writes to it will hear so.
  Task<void> Inherit(std::vector<Holding> holdings);
  // What is adopted through this server.
  std::vector<Holding> holdings() const { return {held_.begin(), held_.end()}; }

  Task<Result<StoreInfo>> Do(const RpcCall&, StoreInfoOp& op);
  Task<Result<Capacity>> Do(const RpcCall&, StoreCapacityOp& op);
  Task<Status> Do(const RpcCall&, StoreAdoptOp& op);
  Task<Status> Do(const RpcCall&, StoreAdoptLogOp& op);
  Task<Status> Do(const RpcCall&, StoreDisownOp& op);
  Task<Status> Do(const RpcCall&, StoreDisownLogOp& op);
  Task<Status> Do(const RpcCall&, StoreSealOp& op);
  Task<Status> Do(const RpcCall&, StoreSealLogOp& op);

  Task<Status> Do(const RpcCall&, StoreReadOp& op);
  Task<Status> Do(const RpcCall&, StoreWriteOp& op);
  Task<Status> Do(const RpcCall&, StoreZeroOp& op);
  Task<Status> Do(const RpcCall&, StorePunchOp& op);
  Task<Status> Do(const RpcCall&, StoreSyncOp& op);
  Task<Result<ExtentList>> Do(const RpcCall&, StoreExtentsOp& op);
  Task<Result<ByteTotal>> Do(const RpcCall&, StoreUsageOp& op);
  Task<Status> Do(const RpcCall&, StoreCopyOp& op);
  Task<Status> Do(const RpcCall&, StoreRemoveOp& op);
  Task<Result<Page<BlobId>>> Do(const RpcCall&, StoreListBlobsOp& op);

  Task<Status> Do(const RpcCall&, StoreReserveOp& op);
  Task<Status> Do(const RpcCall&, StoreAppendOp& op);
  Task<Status> Do(const RpcCall&, StoreSyncLogOp& op);
  Task<Result<ByteTotal>> Do(const RpcCall&, StoreReadLogOp& op);
  Task<Status> Do(const RpcCall&, StoreTrimLogOp& op);
  Task<Result<ByteTotal>> Do(const RpcCall&, StoreLogUsageOp& op);
  Task<Status> Do(const RpcCall&, StoreRemoveLogOp& op);
  Task<Result<Page<LogId>>> Do(const RpcCall&, StoreListLogsOp& op);

  Task<Status> Do(const RpcCall&, StorePutChunkOp& op);
  Task<Result<ChunkContent>> Do(const RpcCall&, StoreGetChunkOp& op);
  Task<Status> Do(const RpcCall&, StoreRemoveChunkOp& op);
  Task<Result<Page<ChunkId>>> Do(const RpcCall&, StoreListChunksOp& op);

  Task<Result<Record>> Do(const RpcCall&, StoreGetRecordOp& op);
  Task<Result<RecordVersion>> Do(const RpcCall&, StoreSwapRecordOp& op);
  Task<Status> Do(const RpcCall&, StoreRemoveRecordOp& op);
  Task<Result<Page<RecordKey>>> Do(const RpcCall&, StoreListRecordsOp& op);
  Task<Result<ByteTotal>> Do(const RpcCall&, StoreSweepOp& op);
  Task<Result<BlobFolder>> Do(const RpcCall&, StoreFolderOp& op);

 private:
  Task<Status> Noted(Status adopted, Holding what);
  Task<void> Dropped(Holding what);

  Store* store_;
  HoldingsKeeper* keeper_;
  BlobFolder folder_;
  std::set<Holding> held_;
};

}  // namespace atl
