// SPDX-License-Identifier: Apache-2.0
//
// Which bytes of a buffer are worth writing: sparse images stay sparse although whoever reads them
// gets zeros in full.
#pragma once

#include <cstdint>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/units.h"

namespace atl {

// Zeros are left out by whole sub-grains of `offset` + index, and only in runs of at least
// kMinZeroRun bytes: a request costs more than a few zeros.
inline constexpr uint64_t kMinZeroRun = 4 * kSubGrain;

// The ranges of `data` (relative to it) that hold anything but zeros, in order.
std::vector<ByteRange> DataRuns(uint64_t offset, ConstSpan data);

}  // namespace atl
