// SPDX-License-Identifier: Apache-2.0
//
// Whether everything that a store has fits together: records that can be read, headers whose maps
// can be walked to the last leaf, counts of sources that are exact, blobs and journals that are
// there. Nothing is changed. To be called while nothing else happens.
#pragma once

#include <string>
#include <vector>

#include "peers/store/store_set.h"
#include "xseg/base/task.h"

namespace atl::sim {

// What is wrong, a line for each thing; empty if nothing is.
Task<std::vector<std::string>> CheckStore(StoreSet* stores);

// Everything that the store has: blobs, logs and records.
Task<std::vector<std::string>> ListStore(Store* store);

}  // namespace atl::sim
