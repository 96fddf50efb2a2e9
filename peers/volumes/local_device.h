// SPDX-License-Identifier: Apache-2.0
//
// A device on a resource of this node. Connecting takes no lock: the resource is opened by the
// first request (so a migration target may connect before the source lets go).
//
// Threads: one executor thread.
#pragma once

#include <memory>
#include <optional>

#include "peers/client/device.h"
#include "peers/volumes/open_table.h"

namespace atl {

class LocalDevice final : public Device {
 public:
  LocalDevice(OpenTable* table, BufferPool* buffers, StoreSlot slot, DeviceInfo info)
      : table_(table), buffers_(buffers), slot_(slot), info_(std::move(info)) {}

  const DeviceInfo& info() const override;
  Task<Status> Refresh() override;
  BufferPool& buffers() override { return *buffers_; }
  Task<Status> Read(uint64_t offset, MutSpan out) override;
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override;
  Task<Status> Flush() override;
  bool TryRead(uint64_t offset, MutSpan out) override;
  bool TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override;
  ConstSpan TryView(uint64_t offset, size_t length) override;
  Task<Status> Discard(ByteRange range, DeviceWriteOptions options) override;
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) override;
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) override;
  Task<Status> Prefetch(ByteRange range) override;
  Task<void> Close() override;

 private:
  using Turn = std::optional<Mutex::Guard>;
  bool at_once() const { return use_.alive() && !line_->is_locked(); }
  // Opens at the first call. `turn` is held from then on.
  Task<Status> Reach(Turn* turn);
  // Lets the next one go once the caller's request, which it makes now, is with the composer.
  void Pass(Turn turn);
  Status CheckRange(ByteRange range) const;
  // The node has not closed it under us.
  Status CheckOpen() const;
  Status CheckWritable() const;

  OpenTable* table_;
  BufferPool* buffers_;
  StoreSlot slot_;
  mutable DeviceInfo info_;  // The size follows the volume's.
  OpenTable::Use use_;
  // Requests that wait for the opening go on in the order in which they were made.
  std::shared_ptr<Mutex> line_ = std::make_shared<Mutex>();
};

}  // namespace atl
