// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/remote/port_device.h"

#include <algorithm>

#include "peers/port_ops.h"

namespace atl {

Task<Status> PortDevice::Refresh() {
  const PortInfoOp op{handle_};
  CO_ASSIGN_OR_RETURN(const DeviceInfo now, co_await client_->Call(composer_, op));
  info_.size = now.size;
  co_return OkStatus();
}
Task<Status> PortDevice::Read(uint64_t offset, MutSpan out) {
  return client_->Tell(composer_, PortReadOp{handle_, 0, offset, &sent_}, {}, out);
}
Task<Status> PortDevice::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  return client_->Tell(composer_, PortWriteOp{handle_, 0, offset, options, &sent_}, data);
}
Task<Status> PortDevice::Flush() {
  return client_->Tell(composer_, PortFlushOp{handle_, 0, &sent_});
}
Task<Status> PortDevice::Discard(ByteRange range, DeviceWriteOptions options) {
  return client_->Tell(composer_, PortDiscardOp{handle_, 0, range, options, &sent_});
}
Task<Status> PortDevice::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  return client_->Tell(composer_, PortWriteZeroesOp{handle_, 0, range, options, &sent_});
}
Task<Result<std::vector<DeviceExtent>>> PortDevice::Extents(ByteRange range, size_t limit) {
  const auto most = static_cast<uint32_t>(std::min(limit, kMaxWireItems));
  PortExtentsOp op{handle_, 0, range, most, &sent_};
  CO_ASSIGN_OR_RETURN(DeviceExtents extents, co_await client_->Call(composer_, op));
  co_return std::move(extents.items);
}
Task<Status> PortDevice::Prefetch(ByteRange range) {
  return client_->Tell(composer_, PortPrefetchOp{handle_, 0, range, &sent_});
}
Task<void> PortDevice::Close() {
  const PortCloseOp op{handle_};
  (void)co_await client_->Tell(composer_, op);  // A composer that has ended has nothing open.
}

}  // namespace atl
