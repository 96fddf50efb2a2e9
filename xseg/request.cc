// SPDX-License-Identifier: Apache-2.0
#include "xseg/request.h"

#include <algorithm>
#include <limits>

#include "xseg/stamps.h"

namespace atl {

uint32_t StampAfter(int64_t submitted_ns, int64_t now_ns) {
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(
      std::clamp<int64_t>(NsBetween(submitted_ns, now_ns) / kStampUnitNs, 1, kMost));
}

}  // namespace atl
