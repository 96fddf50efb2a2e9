// SPDX-License-Identifier: Apache-2.0
//
// A device that the composer's process has open for this one. See port_atoll.h.
//
// When that process dies, its successor answers kStale. Then the device is opened anew there, and
// what was not answered is asked again, in the order in which it was first asked; whoever uses the
// device sees a pause:
//
//   serving --an answer is kStale--> stale --all others are answered, too--> reopening
//      ^                               ^                                        |
//      |   all who waited are sent     +------- it dies again, or refuses ------+
//      +---------------------------------------------------------------------- rejoining
//
// Nobody is sent before all answers of the dead one are in, so what is asked again was not
// answered, and no newer request has overtaken it.
//
// Threads: the client's.
#pragma once

#include <map>
#include <vector>

#include "peers/client/device.h"
#include "peers/port_rpc/rpc_client.h"
#include "xseg/base/sync.h"

namespace atl {

class PortDevice final : public Device {
 public:
  PortDevice(RpcClient* client, BufferPool* buffers, RpcTarget composer, OpenMode mode,
             uint64_t handle, DeviceInfo info)
      : client_(client),
        buffers_(buffers),
        composer_(std::move(composer)),
        mode_(mode),
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
  // Who waits for the device to be opened anew.
  struct Waiter {
    uint64_t turn = 0;
    Event go;
    Status status;
  };

  template <typename O>
  Task<Result<typename O::Wire::Reply>> Ask(O op, ConstSpan in = {}, MutSpan out = {});
  template <typename O>
  Task<Status> Tell(O op, ConstSpan in = {}, MutSpan out = {});
  bool is_serving() const { return !stale_ && waiting_.empty(); }
  // Until it is this request's turn to be sent; not ok if the device could not be opened.
  Task<Status> Rejoin(Waiter* waiter);
  Task<void> Reopen();
  void WakeNext();

  RpcClient* client_;
  BufferPool* buffers_;
  RpcTarget composer_;
  OpenMode mode_;
  uint64_t handle_;
  DeviceInfo info_;
  uint64_t sent_ = 0;  // Gives each request its number.

  uint64_t turns_ = 0;    // In the order in which requests were made.
  uint64_t running_ = 0;  // Requests that are at the composer.
  bool stale_ = false;
  bool reopening_ = false;
  bool closed_ = false;
  std::map<uint64_t, Waiter*> waiting_;  // By turn.
};

}  // namespace atl
