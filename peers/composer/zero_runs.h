// SPDX-License-Identifier: Apache-2.0
//
// Which parts of a write are zeros that need not be stored (DeviceWriteOptions::detect_zeroes).
//
// Pure.
#pragma once

#include <absl/container/inlined_vector.h>

#include "xseg/base/bytes.h"
#include "xseg/base/units.h"

namespace atl {

struct WriteRun {
  ByteRange range;  // In the volume.
  bool zero = false;
  friend bool operator==(const WriteRun&, const WriteRun&) = default;
};
using WriteRuns = absl::InlinedVector<WriteRun, 8>;

// Zeros among data are taken out in runs of at least this. Each costs a punch, two more entries of
// the journal, one more piece in the map and in every read that crosses it, and a new allocation
// when it is written to again: for the space of one sub-grain or two that is not worth it, and a
// map of alternating sub-grains would be made for nothing.
inline constexpr uint64_t kMinZeroRun = 4 * kSubGrain;

// Runs that cover what is written, in order, neighbours differ. They begin and end with sub-grains,
// but for the ends of the write itself. A write that is all zeros is one run of any length.
WriteRuns FindZeroRuns(uint64_t offset, ConstSpan data);

}  // namespace atl
