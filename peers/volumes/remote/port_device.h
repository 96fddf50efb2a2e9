// SPDX-License-Identifier: Apache-2.0
//
// A device that the composer's process has open for this one. See port_atoll.h; what happens when
// that process dies: port_session.h.
//
// Threads: the client's.
#pragma once

#include <vector>

#include "peers/client/device.h"
#include "peers/port_rpc/rpc_client.h"
#include "peers/volumes/remote/port_session.h"

namespace atl {

class PortDevice final : public Device, private PortSession::Device {
 public:
  struct Opened {
    OpenMode mode = OpenMode::kReadWrite;
    uint64_t handle = 0;
    DeviceInfo info;
  };
  PortDevice(RpcClient* client, BufferPool* buffers, PortSession* session, RpcTarget composer,
             Opened opened);
  // Closed before.
  ~PortDevice() override = default;

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
  template <typename O>
  Task<Result<typename O::Wire::Reply>> Ask(O op, ConstSpan in = {}, MutSpan out = {});
  template <typename O>
  Task<Status> Tell(O op, ConstSpan in = {}, MutSpan out = {});
  Task<void> Reopen() override;

  RpcClient* client_;
  BufferPool* buffers_;
  PortSession* session_;
  RpcTarget composer_;
  OpenMode mode_;
  uint64_t handle_;
  DeviceInfo info_;
  uint64_t sent_ = 0;  // Gives each request its number.
  Status opened_;      // Why it could not be opened anew; the next request tries it again.
  Mutex reopening_;
};

}  // namespace atl
