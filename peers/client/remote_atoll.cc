// SPDX-License-Identifier: Apache-2.0
#include "peers/client/remote_atoll.h"

#include <utility>

#include "peers/client/control_channel.h"
#include "peers/client/remote_device.h"
#include "peers/client/unix_socket.h"

namespace atl {
namespace {

// For calls that answer with nothing but their outcome.
template <typename O>
Task<Status> Tell(ControlChannel& channel, O op) {
  const auto reply = co_await channel.Call(std::move(op));
  co_return reply.ok() ? Status() : reply.status();
}

}  // namespace

RemoteAtoll::RemoteAtoll(std::shared_ptr<ControlChannel> channel) : channel_(std::move(channel)) {}
RemoteAtoll::~RemoteAtoll() = default;

Result<std::unique_ptr<RemoteAtoll>> RemoteAtoll::Connect(Executor& executor,
                                                          const std::string& socket_path) {
  Result<Fd> socket = ConnectUnix(socket_path);
  if (!socket.ok()) {
    // Absent or dead: the same to whoever wants to talk to a node.
    const bool absent = socket.code() == Code::kNotFound || socket.code() == Code::kConflict;
    return absent ? Status(Code::kUnavailable, std::string(socket.status().message()))
                  : socket.status();
  }
  auto channel = std::make_shared<ControlChannel>(executor, *std::move(socket));
  return std::unique_ptr<RemoteAtoll>(new RemoteAtoll(std::move(channel)));
}

Task<void> RemoteAtoll::Disconnect() { return channel_->Close(); }

Task<Result<ResourceInfo>> RemoteAtoll::Create(CreateSpec spec) {
  return channel_->Call(CreateOp{std::move(spec)});
}
Task<Result<ResourceInfo>> RemoteAtoll::Snapshot(SnapshotSpec spec) {
  return channel_->Call(SnapshotOp{std::move(spec)});
}
Task<Result<ResourceInfo>> RemoteAtoll::Show(ResourceRef ref, bool with_space) {
  return channel_->Call(ShowOp{std::move(ref), with_space});
}
Task<Result<ResourcePage>> RemoteAtoll::List(ListSpec spec) {
  return channel_->Call(ListOp{std::move(spec)});
}
Task<Result<ResourceInfo>> RemoteAtoll::Resize(ResourceRef ref, uint64_t size, bool allow_shrink) {
  return channel_->Call(ResizeOp{std::move(ref), size, allow_shrink});
}
Task<Result<ResourceInfo>> RemoteAtoll::Rename(ResourceRef ref, std::string name) {
  return channel_->Call(RenameOp{std::move(ref), std::move(name)});
}
Task<Status> RemoteAtoll::Remove(ResourceRef ref) {
  return Tell(*channel_, RemoveOp{std::move(ref)});
}
Task<Result<ResourceInfo>> RemoteAtoll::Rollback(ResourceRef ref, ResourceRef snapshot) {
  return channel_->Call(RollbackOp{std::move(ref), std::move(snapshot)});
}
Task<Result<std::unique_ptr<Device>>> RemoteAtoll::Open(ResourceRef ref, OpenMode mode) {
  OpenOp op{std::move(ref), mode};
  CO_ASSIGN_OR_RETURN(OpenReply opened, co_await channel_->Call(std::move(op)));
  co_return std::unique_ptr<Device>(
      new RemoteDevice(channel_, opened.handle, std::move(opened.info)));
}
Task<Status> RemoteAtoll::Acquire(ResourceRef ref) {
  return Tell(*channel_, AcquireOp{std::move(ref)});
}
Task<Status> RemoteAtoll::Release(ResourceRef ref) {
  return Tell(*channel_, ReleaseOp{std::move(ref)});
}
Task<Result<LockInfo>> RemoteAtoll::GetLock(ResourceRef ref) {
  return channel_->Call(GetLockOp{std::move(ref)});
}
Task<Status> RemoteAtoll::BreakLock(ResourceRef ref, bool force) {
  return Tell(*channel_, BreakLockOp{std::move(ref), force});
}
Task<Result<std::vector<StoreState>>> RemoteAtoll::Stores() { return channel_->Call(StoresOp{}); }
Task<Result<GcReport>> RemoteAtoll::CollectGarbage(bool dry_run) {
  return channel_->Call(CollectGarbageOp{dry_run});
}
Task<Result<CheckReport>> RemoteAtoll::Check(CheckSpec spec) {
  return channel_->Call(CheckOp{std::move(spec)});
}
Task<Result<ScrubStatus>> RemoteAtoll::Scrub(ScrubSpec spec) {
  return channel_->Call(ScrubOp{std::move(spec)});
}
Task<Result<std::vector<PortStats>>> RemoteAtoll::Stats() { return channel_->Call(StatsOp{}); }

Task<Result<NodeStatus>> RemoteAtoll::GetStatus() { return channel_->Call(NodeStatusOp{}); }
Task<Status> RemoteAtoll::Stop() { return Tell(*channel_, NodeStopOp{}); }
Task<Status> RemoteAtoll::RestartPeer(std::string name) {
  return Tell(*channel_, RestartPeerOp{std::move(name)});
}
Task<Result<Report>> RemoteAtoll::GetReport(ReportSpec spec) {
  return channel_->Call(ReportOp{std::move(spec)});
}

}  // namespace atl
