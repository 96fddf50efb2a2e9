// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/bytes.h"

namespace atl {

bool IsAllZero(ConstSpan bytes) {
  // A range is zero if its first byte is and it equals itself shifted by one.
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace atl
