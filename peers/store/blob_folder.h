// SPDX-License-Identifier: Apache-2.0
//
// Which directory it is that a store's blobs lie in, on this host, as long as somebody has it open.
#pragma once

#include <cstdint>

namespace atl {

struct BlobFolder {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool is_none() const { return inode == 0; }
  friend bool operator==(const BlobFolder&, const BlobFolder&) = default;
};

}  // namespace atl
