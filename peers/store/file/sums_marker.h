// SPDX-License-Identifier: Apache-2.0
//
// Whether a store keeps checksums of its data (peers/store/checksum): a file that names their
// generation. It is there as long as everybody who uses the store keeps them.
#pragma once

#include <cstdint>

#include "peers/store/file/posix.h"

namespace atl {

// Makes the marker if there is none. Several may do so at once, and agree.
Result<uint64_t> MarkSums(const Dir& root, const Dir& tmp);
// From now on sums that are there are void. Nothing if there is no marker.
Status UnmarkSums(const Dir& root);

}  // namespace atl
