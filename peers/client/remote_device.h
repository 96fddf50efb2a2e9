// SPDX-License-Identifier: Apache-2.0
//
// A device that a node has open for this connection. See remote_atoll.h.
#pragma once

#include <memory>
#include <vector>

#include "peers/client/control_channel.h"
#include "peers/client/device.h"

namespace atl {

class RemoteDevice final : public Device {
 public:
  RemoteDevice(std::shared_ptr<ControlChannel> channel, uint64_t handle, DeviceInfo info);

  const DeviceInfo& info() const override { return info_; }
  Task<Status> Refresh() override;
  BufferPool& buffers() override { return buffers_; }
  Task<Status> Read(uint64_t offset, MutSpan out) override;
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override;
  Task<Status> Flush() override;
  Task<Status> Discard(ByteRange range, DeviceWriteOptions options) override;
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) override;
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) override;
  Task<Status> Prefetch(ByteRange range) override;
  Task<void> Close() override;

 private:
  template <typename O>
  Task<Status> Tell(O op, ConstSpan payload = {}, MutSpan into = {});

  std::shared_ptr<ControlChannel> channel_;
  const uint64_t handle_;
  DeviceInfo info_;
  HeapBufferPool buffers_;
};

}  // namespace atl
