// SPDX-License-Identifier: Apache-2.0
//
// Whether a store keeps checksums of its data (peers/store/checksum): a file that names their
// generation. While it is there everybody who uses the store keeps them. To give them up an
// administrator removes it, while nobody uses the store; sums of other generations are void.
#pragma once

#include <cstdint>

#include "peers/store/file/posix.h"

namespace atl {

// Makes the marker if there is none. Several may do so at once, and agree.
Result<uint64_t> MarkSums(const Dir& root, const Dir& tmp);
// For who keeps none: kInvalid if there is a marker, for what he writes would then seem damaged.
Status CheckUnmarked(const Dir& root);

}  // namespace atl
