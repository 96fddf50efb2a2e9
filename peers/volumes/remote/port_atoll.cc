// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/port_atoll.h"

#include <utility>

#include "peers/port_ops.h"
#include "peers/volumes/remote/port_device.h"

namespace atl {

Task<Result<ResourceInfo>> PortAtoll::Create(CreateSpec spec) {
  return client_->Call(composer_, CreateOp{std::move(spec)});
}
Task<Result<ResourceInfo>> PortAtoll::Snapshot(SnapshotSpec spec) {
  return client_->Call(composer_, SnapshotOp{std::move(spec)});
}
Task<Result<ResourceInfo>> PortAtoll::Show(ResourceRef ref, bool with_space) {
  return client_->Call(composer_, ShowOp{std::move(ref), with_space});
}
Task<Result<ResourcePage>> PortAtoll::List(ListSpec spec) {
  return client_->Call(composer_, ListOp{std::move(spec)});
}
Task<Result<ResourceInfo>> PortAtoll::Resize(ResourceRef ref, uint64_t size, bool allow_shrink) {
  return client_->Call(composer_, ResizeOp{std::move(ref), size, allow_shrink});
}
Task<Result<ResourceInfo>> PortAtoll::Rename(ResourceRef ref, std::string name) {
  return client_->Call(composer_, RenameOp{std::move(ref), std::move(name)});
}
Task<Status> PortAtoll::Remove(ResourceRef ref) {
  return client_->Tell(composer_, RemoveOp{std::move(ref)});
}
Task<Result<ResourceInfo>> PortAtoll::Rollback(ResourceRef ref, ResourceRef snapshot) {
  return client_->Call(composer_, RollbackOp{std::move(ref), std::move(snapshot)});
}
Task<Result<std::unique_ptr<Device>>> PortAtoll::Open(ResourceRef ref, OpenMode mode) {
  PortOpenOp op{std::move(ref), mode};
  CO_ASSIGN_OR_RETURN(OpenReply opened, co_await client_->Call(composer_, std::move(op)));
  PortDevice::Opened device{mode, opened.handle, std::move(opened.info)};
  co_return std::make_unique<PortDevice>(client_, buffers_, &session_, composer_,
                                         std::move(device));
}
Task<Status> PortAtoll::Acquire(ResourceRef ref) {
  return client_->Tell(composer_, AcquireOp{std::move(ref)});
}
Task<Status> PortAtoll::Release(ResourceRef ref) {
  return client_->Tell(composer_, ReleaseOp{std::move(ref)});
}
Task<Result<LockInfo>> PortAtoll::GetLock(ResourceRef ref) {
  return client_->Call(composer_, GetLockOp{std::move(ref)});
}
Task<Status> PortAtoll::BreakLock(ResourceRef ref, bool force) {
  return client_->Tell(composer_, BreakLockOp{std::move(ref), force});
}
Task<Result<std::vector<StoreState>>> PortAtoll::Stores() {
  return client_->Call(composer_, StoresOp{});
}
Task<Result<GcReport>> PortAtoll::CollectGarbage(bool dry_run) {
  return client_->Call(composer_, CollectGarbageOp{dry_run});
}
Task<Result<CheckReport>> PortAtoll::Check(CheckSpec spec) {
  return client_->Call(composer_, CheckOp{std::move(spec)});
}
Task<Result<ScrubStatus>> PortAtoll::Scrub(ScrubSpec spec) {
  return client_->Call(composer_, ScrubOp{std::move(spec)});
}
Task<Result<std::vector<PortStats>>> PortAtoll::Stats() {
  return client_->Call(composer_, StatsOp{});
}
Task<Result<Report>> PortAtoll::Trace(std::string name, bool json) {
  return client_->Call(composer_, PeerTraceOp{std::move(name), json});
}

}  // namespace atl
