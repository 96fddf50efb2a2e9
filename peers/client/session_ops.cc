// SPDX-License-Identifier: Apache-2.0
#include "peers/client/session_ops.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

namespace atl {

struct SessionOps {
  using Session = ControlSession;
  using DeviceIo = ControlSession::DeviceIo;

  // --- Volumes and the node: one call each -------------------------------------------------------

  static auto Do(Session& s, CreateOp& op) { return s.host_.atoll.Create(std::move(op.spec)); }
  static auto Do(Session& s, SnapshotOp& op) { return s.host_.atoll.Snapshot(std::move(op.spec)); }
  static auto Do(Session& s, ShowOp& op) {
    return s.host_.atoll.Show(std::move(op.ref), op.with_space);
  }
  static auto Do(Session& s, ListOp& op) {
    op.spec.limit = std::clamp<uint32_t>(op.spec.limit, 1, 1000);
    return s.host_.atoll.List(std::move(op.spec));
  }
  static auto Do(Session& s, ResizeOp& op) {
    return s.host_.atoll.Resize(std::move(op.ref), op.size, op.allow_shrink);
  }
  static auto Do(Session& s, RenameOp& op) {
    return s.host_.atoll.Rename(std::move(op.ref), std::move(op.name));
  }
  static auto Do(Session& s, RemoveOp& op) { return s.host_.atoll.Remove(std::move(op.ref)); }
  static auto Do(Session& s, RollbackOp& op) {
    return s.host_.atoll.Rollback(std::move(op.ref), std::move(op.snapshot));
  }
  static auto Do(Session& s, AcquireOp& op) { return s.host_.atoll.Acquire(std::move(op.ref)); }
  static auto Do(Session& s, ReleaseOp& op) { return s.host_.atoll.Release(std::move(op.ref)); }
  static auto Do(Session& s, GetLockOp& op) { return s.host_.atoll.GetLock(std::move(op.ref)); }
  static auto Do(Session& s, BreakLockOp& op) {
    return s.host_.atoll.BreakLock(std::move(op.ref), op.force);
  }
  static auto Do(Session& s, StoresOp&) { return s.host_.atoll.Stores(); }
  static auto Do(Session& s, CollectGarbageOp& op) {
    return s.host_.atoll.CollectGarbage(op.dry_run);
  }
  static auto Do(Session& s, CheckOp& op) { return s.host_.atoll.Check(std::move(op.spec)); }
  static auto Do(Session& s, ScrubOp& op) { return s.host_.atoll.Scrub(std::move(op.spec)); }
  static auto Do(Session& s, StatsOp&) { return s.host_.atoll.Stats(); }
  static auto Do(Session& s, NodeStatusOp&) { return s.host_.node.GetStatus(); }
  static auto Do(Session& s, NodeStopOp&) { return s.host_.node.Stop(); }
  static auto Do(Session& s, RestartPeerOp& op) {
    return s.host_.node.RestartPeer(std::move(op.name));
  }
  static auto Do(Session& s, ReportOp& op) { return s.host_.node.GetReport(std::move(op.spec)); }

  // --- Devices -----------------------------------------------------------------------------------

  static Task<Result<OpenReply>> Do(Session& s, OpenOp& op) {
    if (s.devices_.size() >= kMaxDevices) {
      co_return Status(Code::kLimit, "this connection has too many devices open");
    }
    CO_ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                        co_await s.host_.atoll.Open(std::move(op.ref), op.mode));
    OpenReply reply{s.next_handle_++, device->info()};
    s.devices_.emplace(reply.handle, std::move(device));
    co_return reply;
  }
  // What is in flight holds the device by its own reference.
  static Task<Status> Do(Session& s, CloseDeviceOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    s.devices_.erase(op.handle);
    co_await device->Close();
    co_return Status();
  }
  static Task<Status> Do(Session& s, FlushOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    co_return co_await device->Flush();
  }
  static Task<Status> Do(Session& s, DiscardOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    co_return co_await device->Discard(op.range, op.options);
  }
  static Task<Status> Do(Session& s, WriteZeroesOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    co_return co_await device->WriteZeroes(op.range, op.options);
  }
  static Task<Result<std::vector<DeviceExtent>>> Do(Session& s, ExtentsOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    const size_t limit = std::clamp<size_t>(op.limit, 1, kMaxWireItems);
    co_return co_await device->Extents(op.range, limit);
  }
  static Task<Status> Do(Session& s, PrefetchOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    co_return co_await device->Prefetch(op.range);
  }
  static Task<Result<DeviceInfo>> Do(Session& s, DeviceInfoOp& op) {
    CO_ASSIGN_OR_RETURN(const auto device, s.Find(op.handle));
    CO_RETURN_IF_ERROR(co_await device->Refresh());
    co_return device->info();
  }

  // --- How an operation begins and ends ----------------------------------------------------------

  static Bytes BodyOf(const Status& status) { return MakeReplyBody(status); }
  template <typename T>
  static Bytes BodyOf(const Result<T>& result) {
    return MakeReplyBody(result);
  }

  template <typename O>
  static Task<void> Finish(Session& s, FrameHeader header, O op) {
    const auto result = co_await Do(s, op);
    co_await s.Reply(header, BodyOf(result), {});
    s.in_flight_.Release();
  }
  static Task<void> FinishRead(Session& s, FrameHeader header, ReadOp op, DeviceIo io) {
    const MutSpan out = io.buffer ? io.buffer.span() : MutSpan();
    const Status status = co_await io.device->Read(op.offset, out);
    co_await s.Reply(header, BodyOf(status), status.ok() ? ConstSpan(out) : ConstSpan());
    s.in_flight_.Release();
  }
  template <typename O>
  static constexpr bool kWrites = std::is_same_v<O, WriteOp> || std::is_same_v<O, WriteSparseOp>;
  template <typename O>
  static Task<void> FinishWrite(Session& s, FrameHeader header, O op, DeviceIo io) {
    const ConstSpan data = io.buffer ? io.buffer.span() : ConstSpan();
    op.options.detect_zeroes = std::is_same_v<O, WriteSparseOp>;
    const Status status = co_await io.device->Write(op.offset, data, op.options);
    io.buffer.Release();
    co_await s.Reply(header, BodyOf(status), {});
    s.in_flight_.Release();
  }
  static Task<void> Refuse(Session& s, FrameHeader header, Status status) {
    co_await s.Reply(header, BodyOf(status), {});
    s.in_flight_.Release();
  }

  // Reads and writes take their buffers here, before the next message is looked at, so that
  // requests reach the device in the order in which they were sent.
  template <typename O>
  static Task<Status> Begin(Session& s, FrameHeader header, Bytes body) {
    CO_ASSIGN_OR_RETURN(O op, DecodeMessage<O>(body));
    if constexpr (kWrites<O>) {
      auto io = co_await s.Prepare(op.handle, header.payload_bytes);
      CO_RETURN_IF_ERROR(co_await s.ReceivePayload(io.ok() ? &*io : nullptr, header.payload_bytes));
      s.Start(io.ok() ? FinishWrite(s, header, op, *std::move(io))
                      : Refuse(s, header, io.status()));
      co_return Status();
    }
    if (header.payload_bytes != 0) {
      co_return Status(Code::kInvalid, "a payload where none belongs");
    }
    if constexpr (std::is_same_v<O, ReadOp>) {
      if (op.length > kMaxFramePayload) co_return Status(Code::kLimit, "a read that is too long");
      auto io = co_await s.Prepare(op.handle, op.length);
      s.Start(io.ok() ? FinishRead(s, header, op, *std::move(io)) : Refuse(s, header, io.status()));
    } else if constexpr (!kWrites<O>) {
      s.Start(Finish(s, header, std::move(op)));
    }
    co_return Status();
  }
};

namespace {

struct OpRow {
  Op op;
  Task<Status> (*begin)(ControlSession&, FrameHeader, Bytes);
};

template <typename... Ops>
constexpr auto MakeRows(OpList<Ops...>) {
  return std::array<OpRow, sizeof...(Ops)>{{{Ops::Wire::kOp, &SessionOps::Begin<Ops>}...}};
}
constexpr auto kRows = MakeRows(ControlOps{});

}  // namespace

Task<Status> BeginOperation(ControlSession& session, FrameHeader header, Bytes body) {
  const auto row = std::ranges::find(kRows, header.op, &OpRow::op);
  if (row == kRows.end()) {
    co_return Status(Code::kUnsupported, "this node does not know " + NameOf(header.op));
  }
  co_return co_await row->begin(session, header, std::move(body));
}

}  // namespace atl
