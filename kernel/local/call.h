// SPDX-License-Identifier: Apache-2.0
//
// A request of a local client, judged: what is left to find out is whether its range is inside of
// the device, whose size may change at any time.
//
// Pure.
#pragma once

#include <cstdint>

#include "kernel/local/protocol.h"
#include "peers/client/device.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/units.h"

namespace atl::local {

struct Call {
  uint16_t op = 0;
  uint16_t flags = 0;
  ByteRange range;  // Its end is no more than 2 x kMaxVolumeSize.
  MutSpan buffer;   // The client's memory.

  bool has(uint16_t flag) const { return (flags & flag) != 0; }
  DeviceWriteOptions write_options() const { return {.fua = has(kFlagFua)}; }
  DeviceZeroOptions zero_options() const {
    return {.fua = has(kFlagFua), .no_hole = has(kFlagNoHole), .fast_only = has(kFlagFastOnly)};
  }
  bool is_inside(uint64_t size) const { return range.end() <= size; }
};

// kInvalid: it makes no sense. kReadOnly: it would change what may not be changed.
Result<Call> JudgeCall(uint16_t op, uint16_t flags, ConstSpan arguments, MutSpan buffer,
                       bool read_only);

}  // namespace atl::local
