// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/atoll_server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace atl {
namespace {

// Longer requests would hold up those behind them.
constexpr size_t kMostAtOnce = 64 * kKiB;

constexpr int kHoldAttempts = 300;
constexpr int64_t kHoldPause = 200 * kMillisecond;

}  // namespace

// --- Volumes -------------------------------------------------------------------------------------

Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, CreateOp& op) {
  return atoll_->Create(std::move(op.spec));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, SnapshotOp& op) {
  co_await Rejoined();
  co_return co_await atoll_->Snapshot(std::move(op.spec));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, ShowOp& op) {
  return atoll_->Show(std::move(op.ref), op.with_space);
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall&, ResizeOp& op) {
  CO_RETURN_IF_ERROR(co_await AllRejoined());
  co_return co_await atoll_->Resize(std::move(op.ref), op.size, op.allow_shrink);
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall& call, RenameOp& op) {
  CO_RETURN_IF_ERROR(co_await MayAct(call));
  co_return co_await atoll_->Rename(std::move(op.ref), std::move(op.name));
}
Task<Status> AtollServer::Do(const RpcCall& call, RemoveOp& op) {
  CO_RETURN_IF_ERROR(co_await MayAct(call));
  co_return co_await atoll_->Remove(std::move(op.ref));
}
Task<Result<ResourceInfo>> AtollServer::Do(const RpcCall& call, RollbackOp& op) {
  CO_RETURN_IF_ERROR(co_await MayAct(call));
  co_return co_await atoll_->Rollback(std::move(op.ref), std::move(op.snapshot));
}
Task<Status> AtollServer::Do(const RpcCall&, AcquireOp& op) {
  CO_RETURN_IF_ERROR(co_await atoll_->Acquire(op.ref));
  if (keeper_ == nullptr) co_return OkStatus();
  CO_ASSIGN_OR_RETURN(const ResourceInfo info, co_await atoll_->Show(std::move(op.ref), false));
  co_return co_await keeper_->Note({.resource = info.uuid});
}
Task<Status> AtollServer::Do(const RpcCall&, ReleaseOp& op) {
  const auto info = co_await atoll_->Show(op.ref, false);
  if (keeper_ != nullptr && info.ok()) {
    CO_RETURN_IF_ERROR(co_await keeper_->Drop({.resource = info->uuid}));
  }
  co_return co_await atoll_->Release(std::move(op.ref));
}

void AtollServer::Inherit(const std::vector<Holding>& holdings,
                          const std::vector<PortIndex>& front_ends) {
  for (const PortIndex port : front_ends) AwaitFrom(port);
  for (const Holding& what : holdings) {
    if (what.resource) background_.Run(HoldAgain(*what.resource));
  }
}

Task<void> AtollServer::HoldAgain(Uuid uuid) {
  Status held = co_await atoll_->Acquire(ResourceRef::Of(uuid));
  // What it needs may be being replaced, too.
  for (int i = 0; i < kHoldAttempts && held.retryable() && !stopping_; ++i) {
    co_await env_->Sleep(kHoldPause);
    held = co_await atoll_->Acquire(ResourceRef::Of(uuid));
  }
  if (held.ok() || stopping_) co_return;
  spdlog::error("{} is not held open any more: {}", uuid.ToString(), held.ToString());
  if (keeper_ != nullptr) (void)co_await keeper_->Drop({.resource = uuid});
}
Task<Result<LockInfo>> AtollServer::Do(const RpcCall&, GetLockOp& op) {
  return atoll_->GetLock(std::move(op.ref));
}
Task<Status> AtollServer::Do(const RpcCall& call, BreakLockOp& op) {
  CO_RETURN_IF_ERROR(co_await MayAct(call));
  co_return co_await atoll_->BreakLock(std::move(op.ref), op.force);
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

// --- After the death of another composer ---------------------------------------------------------

void AtollServer::AwaitFrom(PortIndex port) {
  if (stopping_) return;
  awaited_.insert(port);
  if (!is_waiting_) background_.Run(LosePatience());
}

void AtollServer::NoLongerAwait(PortIndex port) {
  missing_.erase(port);
  if (awaited_.erase(port) == 0 || !awaited_.empty()) return;
  patience_.Ring();
  rejoined_.NotifyAll();
}

Task<void> AtollServer::LosePatience() {
  is_waiting_ = true;
  const int64_t end_ns = env_->BootNs() + kMostAwaited;
  while (!awaited_.empty() && env_->BootNs() < end_ns) {
    co_await patience_.Sleep(end_ns - env_->BootNs());
  }
  is_waiting_ = false;
  if (awaited_.empty()) co_return;
  spdlog::warn("{} front ends have not come back: not waiting any longer", awaited_.size());
  missing_.insert(awaited_.begin(), awaited_.end());
  awaited_.clear();
  rejoined_.NotifyAll();
}

Task<void> AtollServer::Rejoined() {
  while (!awaited_.empty()) co_await rejoined_;
}

// What is no harm when it is made twice is made again, without a word. Of the others nobody knows
// who has done what since: a name may be another's by now.
Task<Status> AtollServer::MayAct(const RpcCall& call) {
  if (call.replayed) {
    co_return Status(Code::kUnavailable,
                     "the composer has died while it was at it; it may have been done");
  }
  co_return co_await AllRejoined();
}

Task<Status> AtollServer::AllRejoined() {
  co_await Rejoined();
  if (missing_.empty()) co_return OkStatus();
  co_return Status(Code::kBusy,
                   "a front end has not come back since the composer has died, and its "
                   "clients may use the volume; 'atoll node restart nbd' ends it");
}

Task<Status> AtollServer::Do(const RpcCall& call, PortRejoinedOp& op) {
  if (op.life != life_) co_return Status(Code::kStale, "another composer is meant");
  NoLongerAwait(call.from);
  co_return OkStatus();
}

template <typename O>
Task<Result<AtollServer::OpenRef>> AtollServer::Admit(const RpcCall& call, const O& op) {
  constexpr bool kChanges = requires { op.again; };
  if (kChanges && IsStaleHandle(op.handle, life_)) AwaitFrom(call.from);
  bool waits = true;
  if constexpr (kChanges) waits = !op.again;
  if (waits && !IsStaleHandle(op.handle, life_)) co_await Rejoined();
  // Others have not waited for it, and may have changed the place since.
  if (kChanges && !waits && missing_.contains(call.from)) {
    co_return Status(Code::kUnavailable, "a change that comes again, and comes too late");
  }
  co_return Find(call, op.handle);
}

// --- Devices -------------------------------------------------------------------------------------

Result<AtollServer::OpenRef> AtollServer::Find(const RpcCall& call, uint64_t handle) const {
  if (IsStaleHandle(handle, life_)) {
    return Status(Code::kStale, "the composer that had this device open has died");
  }
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
  const uint64_t deaths = deaths_[call.from];
  auto device = co_await atoll_->Open(std::move(op.ref), op.mode);
  if (!device.ok()) co_return device.status();
  if (deaths_[call.from] != deaths) {
    co_await (*device)->Close();  // Nobody would ever close it.
    co_return Status(Code::kUnavailable, "who has asked for it has died");
  }
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
  NoLongerAwait(op.port);
  ++deaths_[op.port];
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
  stopping_ = true;
  awaited_.clear();
  patience_.Ring();
  rejoined_.NotifyAll();
  co_await background_.Join();
  for (const auto& [handle, open] : std::exchange(devices_, {})) co_await Close(open);
}

Task<Result<DeviceInfo>> AtollServer::Do(const RpcCall& call, PortInfoOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, Find(call, op.handle));
  CO_RETURN_IF_ERROR(co_await open->device->Refresh());
  co_return open->device->info();
}

// Each has its turn here, not in a task of its own: what comes after Pass must not wait.
Task<Status> AtollServer::Do(const RpcCall& call, PortReadOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  const bool is_short = call.data.size() <= kMostAtOnce;
  if (is_short && open->device->TryRead(op.offset, call.data)) co_return OkStatus();
  co_return co_await open->device->Read(op.offset, call.data);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortWriteOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  const bool is_short = call.data.size() <= kMostAtOnce;
  if (is_short && open->device->TryWrite(op.offset, call.data, op.options)) co_return OkStatus();
  co_return co_await open->device->Write(op.offset, call.data, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortFlushOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Flush();
}
Task<Status> AtollServer::Do(const RpcCall& call, PortDiscardOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Discard(op.range, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortWriteZeroesOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->WriteZeroes(op.range, op.options);
}
Task<Status> AtollServer::Do(const RpcCall& call, PortPrefetchOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  co_return co_await open->device->Prefetch(op.range);
}
Task<Result<DeviceExtents>> AtollServer::Do(const RpcCall& call, PortExtentsOp& op) {
  CO_ASSIGN_OR_RETURN(const OpenRef open, co_await Admit(call, op));
  CO_RETURN_IF_ERROR(co_await open->line.Turn(op.sequence));
  open->line.Pass();
  const size_t limit = std::clamp<size_t>(op.limit, 1, kMaxWireItems);
  auto extents = co_await open->device->Extents(op.range, limit);
  if (!extents.ok()) co_return extents.status();
  co_return DeviceExtents{*std::move(extents)};
}

}  // namespace atl
