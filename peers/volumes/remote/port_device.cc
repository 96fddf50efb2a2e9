// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/port_device.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "peers/port_ops.h"

namespace atl {

// --- When the composer has died ------------------------------------------------------------------

template <typename O>
Task<Result<typename O::Wire::Reply>> PortDevice::Ask(O op, ConstSpan in, MutSpan out) {
  Waiter waiter{.turn = turns_++};
  bool again = false;
  while (true) {
    if (again || !is_serving()) {
      const Status status = co_await Rejoin(&waiter);
      // Everybody is woken by the one before, who sends at once: so they are sent in their order.
      waiting_.erase(waiter.turn);
      WakeNext();
      CO_RETURN_IF_ERROR(status);
    }
    op.handle = handle_;
    ++running_;
    auto reply = co_await client_->Call(composer_, op, in, out);
    --running_;
    again = reply.code() == Code::kStale;
    if (again) stale_ = true;
    // The last one of all brings those who wait in front of it to do what there is to do.
    if (stale_ && running_ == 0 && !reopening_) WakeNext();
    if (!again) co_return reply;
  }
}

template <typename O>
Task<Status> PortDevice::Tell(O op, ConstSpan in, MutSpan out) {
  const auto reply = co_await Ask(std::move(op), in, out);
  co_return reply.ok() ? Status() : reply.status();
}

void PortDevice::WakeNext() {
  if (!waiting_.empty()) waiting_.begin()->second->go.Set();
}

Task<Status> PortDevice::Rejoin(Waiter* waiter) {
  waiting_.emplace(waiter->turn, waiter);
  while (true) {
    if (stale_ && running_ == 0 && !reopening_) co_await Reopen();
    const bool first = waiting_.begin()->second == waiter;
    if (!waiter->status.ok() || (first && !stale_)) co_return waiter->status;
    co_await waiter->go;
    waiter->go.Reset();
  }
}

Task<void> PortDevice::Reopen() {
  reopening_ = true;
  PortOpenOp op{.mode = mode_};
  op.ref.uuid = info_.uuid;
  Result<OpenReply> opened = Status(Code::kUnavailable, info_.name + " is closed");
  if (!closed_) opened = co_await client_->Call(composer_, op);
  reopening_ = false;
  if (opened.ok()) {
    handle_ = opened->handle;
    info_.size = opened->info.size;
    sent_ = 0;
    stale_ = false;
  } else {
    spdlog::error("{}: its composer has died, and the next one cannot open it: {}", info_.name,
                  opened.status().ToString());
    // Whoever comes later tries again.
    for (const auto& [turn, waiter] : waiting_) waiter->status = opened.status();
  }
  WakeNext();
}

// --- Calls ---------------------------------------------------------------------------------------

Task<Status> PortDevice::Refresh() {
  CO_ASSIGN_OR_RETURN(const DeviceInfo now, co_await Ask(PortInfoOp{}));
  info_.size = now.size;
  co_return OkStatus();
}
Task<Status> PortDevice::Read(uint64_t offset, MutSpan out) {
  return Tell(PortReadOp{0, 0, offset, &sent_}, {}, out);
}
Task<Status> PortDevice::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  return Tell(PortWriteOp{0, 0, offset, options, &sent_}, data);
}
Task<Status> PortDevice::Flush() { return Tell(PortFlushOp{0, 0, &sent_}); }
Task<Status> PortDevice::Discard(ByteRange range, DeviceWriteOptions options) {
  return Tell(PortDiscardOp{0, 0, range, options, &sent_});
}
Task<Status> PortDevice::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  return Tell(PortWriteZeroesOp{0, 0, range, options, &sent_});
}
Task<Result<std::vector<DeviceExtent>>> PortDevice::Extents(ByteRange range, size_t limit) {
  const auto most = static_cast<uint32_t>(std::min(limit, kMaxWireItems));
  CO_ASSIGN_OR_RETURN(DeviceExtents extents,
                      co_await Ask(PortExtentsOp{0, 0, range, most, &sent_}));
  co_return std::move(extents.items);
}
Task<Status> PortDevice::Prefetch(ByteRange range) {
  return Tell(PortPrefetchOp{0, 0, range, &sent_});
}
Task<void> PortDevice::Close() {
  closed_ = true;
  const PortCloseOp op{handle_};
  (void)co_await client_->Tell(composer_, op);  // A composer that has ended has nothing open.
}

}  // namespace atl
