// SPDX-License-Identifier: Apache-2.0
//
// An open resource as a block device: what a front end (NBD, ublk, vhost-user, the fio engine)
// serves. Any number of calls may be in flight at once.
//
// Order: requests whose ranges, rounded out to 4 KiB, overlap take effect in the order in which
// they were made. Others have no order.
//
// Ranges: any byte offset and length inside of [0, size); outside is kInvalid. A length of zero is
// an empty success.
//
// Durability: a write, discard or zeroing that was acknowledged outlives the death of any process
// of ours. It outlives power loss once a Flush that was made after its acknowledgement has ended
// well, or if it was made with `fua`. After a failed flush the device is read-only (kReadOnly, with
// the reason) for everybody until an administrator acts.
//
// Threads: a device belongs to one executor thread, like its buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "xseg/base/buffer.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"
#include "xseg/base/units.h"
#include "xseg/base/uuid.h"

namespace atl {

// Largest single request, as the NBD protocol recommends it.
inline constexpr uint64_t kMaxRequest = 32 * kMiB;

struct DeviceInfo {
  Uuid uuid;
  std::string name;
  uint64_t size = 0;
  uint32_t logical_block = 512;
  uint32_t physical_block = 4096;
  bool read_only = false;  // A snapshot, or opened so.
};

struct DeviceWriteOptions {
  bool fua = false;
  // Of a write: zeros in it are looked for and give back their space instead of being stored, as
  // far as that is worth it. Nothing else is different.
  bool detect_zeroes = false;
};

struct DeviceZeroOptions {
  bool fua = false;
  bool no_hole = false;    // Later writes to the range shall not fail for want of space.
  bool fast_only = false;  // kUnsupported at once rather than slower than a write would be.
};

// What a range of the device is made of. hole and zero together: nothing is stored there. zero
// alone: stored, and known to read as zero. Neither: data.
struct DeviceExtent {
  ByteRange range;
  bool hole = false;
  bool zero = false;
};

class Device {
 public:
  virtual ~Device() = default;

  // As last heard of: volumes grow, and shrink while nobody has used them yet.
  virtual const DeviceInfo& info() const = 0;
  // Asks anew; info() has the size of now from then on. Nothing to do where it always has.
  virtual Task<Status> Refresh() { co_return OkStatus(); }
  virtual BufferPool& buffers() = 0;

  virtual Task<Status> Read(uint64_t offset, MutSpan out) = 0;
  virtual Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) = 0;
  virtual Task<Status> Flush() = 0;

  // Read and Write for who serves many requests in a row: done when they return true, which they do
  // if nothing has to be waited for. False: make the call above, which also tells what is wrong.
  virtual bool TryRead(uint64_t offset, MutSpan out) { return false; }
  virtual bool TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
    return false;
  }
  // The bytes where they lie, empty if that cannot be had. Only for system calls, and only until
  // the caller suspends or writes: see Store::TryView.
  virtual ConstSpan TryView(uint64_t offset, size_t length) { return {}; }

  // The range reads as zero afterwards and gives back its space. Any length.
  virtual Task<Status> Discard(ByteRange range, DeviceWriteOptions options) = 0;
  virtual Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) = 0;
  // Describes a prefix of `range`, in order and without gaps, in at most `limit` extents.
  virtual Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) = 0;
  // A hint that the range will be read soon.
  virtual Task<Status> Prefetch(ByteRange range) = 0;

  // After what is in flight; does not flush. The last call.
  virtual Task<void> Close() = 0;
};

}  // namespace atl
