// SPDX-License-Identifier: Apache-2.0
//
// The space that a resource takes, by the stores' own counts.
#pragma once

#include <vector>

#include "peers/client/atoll.h"
#include "peers/volumes/names.h"

namespace atl {

// `all` are the live resources: what another one reads from too is shared.
Task<Result<SpaceUse>> MeasureSpaceOf(StoreSet* stores, std::vector<Located> all, Uuid uuid);

}  // namespace atl
