// SPDX-License-Identifier: Apache-2.0
//
// The name of a chunk's content.
#pragma once

#include "peers/store/ids.h"
#include "xseg/base/bytes.h"

namespace atl {

ChunkId Sha256(ConstSpan bytes);

}  // namespace atl
