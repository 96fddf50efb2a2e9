// SPDX-License-Identifier: Apache-2.0
#include "tools/config/version.h"

namespace atl {

const char* Version() { return ATOLL_VERSION; }

}  // namespace atl
