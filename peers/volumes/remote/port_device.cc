// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/port_device.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "peers/port_ops.h"

namespace atl {

PortDevice::PortDevice(RpcClient* client, BufferPool* buffers, PortSession* session,
                       RpcTarget composer, Opened opened)
    : client_(client),
      buffers_(buffers),
      session_(session),
      composer_(std::move(composer)),
      mode_(opened.mode),
      handle_(opened.handle),
      info_(std::move(opened.info)) {
  session_->Add(this);
}

template <typename O>
Task<Result<typename O::Wire::Reply>> PortDevice::Ask(O op, ConstSpan in, MutSpan out) {
  constexpr bool kChanges = requires { op.again; };
  PortSession::Visit visit(session_, kChanges);
  while (true) {
    co_await visit.Turn();
    visit.Sent();
    if (!opened_.ok() && !visit.again()) {
      const auto lock = co_await reopening_.Lock();
      if (!opened_.ok()) co_await Reopen();
    }
    if (!opened_.ok()) {
      visit.Answered(opened_.code());
      co_return opened_;
    }
    op.handle = handle_;
    if constexpr (kChanges) op.again = visit.again();
    auto reply = co_await client_->Call(composer_, op, in, out);
    visit.Answered(reply.code());
    if (reply.code() != Code::kStale) co_return reply;
  }
}

template <typename O>
Task<Status> PortDevice::Tell(O op, ConstSpan in, MutSpan out) {
  const auto reply = co_await Ask(std::move(op), in, out);
  co_return reply.ok() ? Status() : reply.status();
}

Task<void> PortDevice::Reopen() {
  const PortOpenOp op{ResourceRef::Of(info_.uuid), mode_};
  const auto opened = co_await client_->Call(composer_, op);
  if (!opened.ok()) {
    opened_ = opened.status().With(info_.name + ": its composer has died, and the next one");
    spdlog::error("{}", opened_.ToString());
    co_return;
  }
  opened_ = OkStatus();
  handle_ = opened->handle;
  info_.size = opened->info.size;
  sent_ = 0;
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
  return Tell(PortWriteOp{.offset = offset, .options = options, .counter = &sent_}, data);
}
Task<Status> PortDevice::Flush() { return Tell(PortFlushOp{0, 0, &sent_}); }
Task<Status> PortDevice::Discard(ByteRange range, DeviceWriteOptions options) {
  return Tell(PortDiscardOp{.range = range, .options = options, .counter = &sent_});
}
Task<Status> PortDevice::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  return Tell(PortWriteZeroesOp{.range = range, .options = options, .counter = &sent_});
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
  co_await session_->Remove(this);
  const PortCloseOp op{handle_};
  (void)co_await client_->Tell(composer_, op);  // A composer that has ended has nothing open.
}

}  // namespace atl
