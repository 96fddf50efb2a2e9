// SPDX-License-Identifier: Apache-2.0
//
// A device of MemoryAtoll.
#pragma once

#include <memory>
#include <vector>

#include "tests/peers/client/memory_atoll.h"

namespace atl {

class MemoryDevice final : public Device {
 public:
  MemoryDevice(MemoryAtoll* atoll, std::shared_ptr<MemoryVolume> volume, bool read_only);

  const DeviceInfo& info() const override { return info_; }
  Task<Status> Refresh() override;
  BufferPool& buffers() override { return pool_; }
  Task<Status> Read(uint64_t offset, MutSpan out) override;
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override;
  Task<Status> Flush() override;
  Task<Status> Discard(ByteRange range, DeviceWriteOptions options) override;
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) override;
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) override;
  Task<Status> Prefetch(ByteRange range) override;
  Task<void> Close() override;

 private:
  Status Check(ByteRange range, bool write) const;
  Status Clear(ByteRange range);

  MemoryAtoll* atoll_;
  std::shared_ptr<MemoryVolume> volume_;
  DeviceInfo info_;
  HeapBufferPool pool_{64 * kMiB};
  Gate gate_;
};

}  // namespace atl
