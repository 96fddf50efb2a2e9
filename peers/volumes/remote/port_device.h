// SPDX-License-Identifier: Apache-2.0
//
// A device that the composer's process has open for this one. See port_atoll.h.
#pragma once

#include <vector>

#include "peers/client/device.h"
#include "peers/port_rpc/rpc_client.h"

namespace atl {

class PortDevice final : public Device {
 public:
  PortDevice(RpcClient* client, BufferPool* buffers, RpcTarget composer, uint64_t handle,
             DeviceInfo info)
      : client_(client),
        buffers_(buffers),
        composer_(std::move(composer)),
        handle_(handle),
        info_(std::move(info)) {}

  const DeviceInfo& info() const override { return info_; }
  Task<Status> Refresh() override;
  BufferPool& buffers() override { return *buffers_; }
  Task<Status> Read(uint64_t offset, MutSpan out) override;
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override;
  Task<Status> Flush() override;
  Task<Status> Discard(ByteRange range, DeviceWriteOptions options) override;
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) override;
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) override;
  Task<Status> Prefetch(ByteRange range) override;
  Task<void> Close() override;

 private:
  RpcClient* client_;
  BufferPool* buffers_;
  RpcTarget composer_;
  uint64_t handle_;
  DeviceInfo info_;
  uint64_t sent_ = 0;  // Gives each request its number.
};

}  // namespace atl
