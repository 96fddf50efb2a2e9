// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor hands to the process that takes the place of a peer which has died: a memory
// file that the process inherits. Its being there says that there was a predecessor.
//
// Threads: any.
#pragma once

#include <vector>

#include "peers/store_ops.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

struct Heirloom {
  std::vector<Holding> holdings;  // Of a store.
};

Result<Fd> MakeHeirloomFile(const Heirloom& heirloom);
// kCorrupt if it is none.
Result<Heirloom> ReadHeirloomFile(int fd);

}  // namespace atl
