// SPDX-License-Identifier: Apache-2.0
#include "peers/client/remote_device.h"

#include <algorithm>
#include <utility>

namespace atl {
namespace {

constexpr size_t kPoolBytes = 64 * kMiB;

}  // namespace

RemoteDevice::RemoteDevice(std::shared_ptr<ControlChannel> channel, uint64_t handle,
                           DeviceInfo info)
    : channel_(std::move(channel)), handle_(handle), info_(std::move(info)), buffers_(kPoolBytes) {}

template <typename O>
Task<Status> RemoteDevice::Tell(O op, ConstSpan payload, MutSpan into) {
  const auto reply = co_await channel_->Call(std::move(op), payload, into);
  co_return reply.ok() ? Status() : reply.status();
}

Task<Status> RemoteDevice::Refresh() {
  CO_ASSIGN_OR_RETURN(const DeviceInfo now, co_await channel_->Call(DeviceInfoOp{handle_}));
  info_.size = now.size;
  co_return Status();
}

Task<Status> RemoteDevice::Read(uint64_t offset, MutSpan out) {
  while (!out.empty()) {
    const MutSpan piece = out.first(std::min<size_t>(out.size(), kMaxFramePayload));
    const ReadOp op{handle_, offset, static_cast<uint32_t>(piece.size())};
    CO_RETURN_IF_ERROR(co_await Tell(op, {}, piece));
    offset += piece.size();
    out = out.subspan(piece.size());
  }
  co_return Status();
}

Task<Status> RemoteDevice::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  while (!data.empty()) {
    const ConstSpan piece = data.first(std::min<size_t>(data.size(), kMaxFramePayload));
    if (options.detect_zeroes) {
      const WriteSparseOp op{handle_, offset, options};
      CO_RETURN_IF_ERROR(co_await Tell(op, piece));
    } else {
      const WriteOp op{handle_, offset, options};
      CO_RETURN_IF_ERROR(co_await Tell(op, piece));
    }
    offset += piece.size();
    data = data.subspan(piece.size());
  }
  co_return Status();
}

Task<Status> RemoteDevice::Flush() { return Tell(FlushOp{handle_}); }

Task<Status> RemoteDevice::Discard(ByteRange range, DeviceWriteOptions options) {
  return Tell(DiscardOp{handle_, range, options});
}

Task<Status> RemoteDevice::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  return Tell(WriteZeroesOp{handle_, range, options});
}

Task<Result<std::vector<DeviceExtent>>> RemoteDevice::Extents(ByteRange range, size_t limit) {
  const auto most = static_cast<uint32_t>(std::min(limit, kMaxWireItems));
  return channel_->Call(ExtentsOp{handle_, range, most});
}

Task<Status> RemoteDevice::Prefetch(ByteRange range) { return Tell(PrefetchOp{handle_, range}); }

Task<void> RemoteDevice::Close() {
  // Without the connection the node closes it by itself.
  const Status ignored = co_await Tell(CloseDeviceOp{handle_});
  (void)ignored;
}

}  // namespace atl
