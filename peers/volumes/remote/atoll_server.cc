// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/atoll_server.h"

#include <algorithm>
#include <utility>

namespace atl {

// --- Volumes -------------------------------------------------------------------------------------

Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, CreateOp& op) {
  return atoll_->Create(std::move(op.spec));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, SnapshotOp& op) {
  return atoll_->Snapshot(std::move(op.spec));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, ShowOp& op) {
  return atoll_->Show(std::move(op.ref), op.with_space);
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, ResizeOp& op) {
  return atoll_->Resize(std::move(op.ref), op.size, op.allow_shrink);
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, RenameOp& op) {
  return atoll_->Rename(std::move(op.ref), std::move(op.name));
}
Task<Status> AtollServer::Do(const RpcCall&, RemoveOp& op) {
  return atoll_->Remove(std::move(op.ref));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, RollbackOp& op) {
  return atoll_->Rollback(std::move(op.ref), std::move(op.snapshot));
}
Task<Status> AtollServer::Do(const RpcCall&, AcquireOp& op) {
  return atoll_->Acquire(std::move(op.ref));
}
Task<Status> AtollServer::Do(const RpcCall&, ReleaseOp& op) {
  return atoll_->Release(std::move(op.ref));
}
Task<Result<LockInfo>> AtollServer::Do(const RpcCall&, GetLockOp& op) {
  return atoll_->GetLock(std::move(op.ref));
}
Task<Status> AtollServer::Do(const RpcCall&, BreakLockOp& op) {
  return atoll_->BreakLock(std::move(op.ref), op.force);
}
Task<Result<std::vector<StoreState>>> AtollServer::Do(const RpcCall&, StoresOp& op) {
  return atoll_->Stores();
}
Task<Result<GcReport>> AtollServer::Do(const RpcCall&, CollectGarbageOp& op) {
  return atoll_->CollectGarbage(op.dry_run);
}
Task<Result<std::vector<PortStats>>> AtollServer::Do(const RpcCall&, StatsOp& op) {
  return atoll_->Stats();
}
Task<Result<CheckReport>> AtollServer::Do(const RpcCall&, CheckOp& op) {
  return atoll_->Check(std::move(op.spec));
}
Task<Result<ScrubStatus>> AtollServer::Do(const RpcCall&, ScrubOp& op) {
  return atoll_->Scrub(std::move(op.spec));
}
Task<Result<ResourcePage>> AtollServer::Do(const RpcCall&, ListOp& op) {
  op.spec.limit = std::clamp<uint32_t>(op.spec.limit, 1, 1000);
  return atoll_->List(std::move(op.spec));
}
Task<Result<Report>> AtollServer::Do(const RpcCall&, PeerTraceOp& op) {
  return trace_(std::move(op.name), op.json);
}

// --- Devices -------------------------------------------------------------------------------------

Result<AtollServer::OpenRef> AtollServer::Find(const RpcCall& call, uint64_t handle) const {
  const auto found = devices_.find(handle);
  if (found != devices_.end() && found->second->owner == call.from) return found->second;
  return Status(Code::kNotFound, "this device is not open");
}

Task<Result<OpenReply>> AtollServer::Do(const RpcCall& call, PortOpenOp& op) {
  const auto of_port = std::ranges::count_if(
      devices_, [&call](const auto& entry) { return entry.second->owner == call.from; });
  if (static_cast<size_t>(of_port) >= kMaxDevicesOfPort) {
    co_return Status(Code::kLimit, "this front end has too many devices open");
  }
  auto device = co_await atoll_->Open(std::move(op.ref), op.mode);
  if (!device.ok()) co_return device.status();
  const auto open = std::make_shared<Open>();
  open->owner = call.from;
  open->device = *std::move(device);
  const OpenReply reply{next_handle_++, open->device->info()};
  devices_.emplace(reply.handle, open);
  co_return reply;
}

Task<void> AtollServer::Close(OpenRef open) {
  open->line.Break();
  co_await open->device->Close();
}

Task<Status> AtollServer::Do(const RpcCall& call, PortCloseOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  devices_.erase(op.handle);
  co_await Close(open);
  co_return OkStatus();
}

Task<Status> AtollServer::Do(const RpcCall&, PeerGoneOp& op) {
  std::vector<OpenRef> left;
  std::erase_if(devices_, [&](const auto& entry) {
    if (entry.second->owner != op.port) return false;
    left.push_back(entry.second);
    return true;
  });
  for (const OpenRef& open : left) co_await Close(open);
  co_return OkStatus();
}

Task<void> AtollServer::Shutdown() {
  for (const auto& [handle, open] : std::exchange(devices_, {})) co_await Close(open);
}

Task<Result<DeviceInfo>> AtollServer::Do(const RpcCall& call, PortInfoOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->device->Refresh());
  co_return open->device->info();
}

// Each has its turn here, not in a task of its own: what comes after Pass must not wait.
Task<Status> AtollServer::Do(const RpcCall& call, PortReadOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Read(op.offset, call.data);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortWriteOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Write(op.offset, call.data, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortFlushOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Flush();
}
Task<Status> AtollServer::Do(const RpcCall& call, PortDiscardOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Discard(op.range, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortWriteZeroesOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->WriteZeroes(op.range, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortPrefetchOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Prefetch(op.range);
}
Task<Result<DeviceExtents>> AtollServer::Do(const RpcCall& call, PortExtentsOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  const size_t limit = std::clamp<size_t>(op.limit, 1, kMaxWireItems);
  auto extents = co_await open->device->Extents(op.range, limit);
  if (!extents.ok()) co_return extents.status();
  co_return DeviceExtents{*std::move(extents)};
}

}  // namespace atl
