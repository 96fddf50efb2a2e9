// SPDX-License-Identifier: Apache-2.0
#include "peers/store/sha256.h"

#include <openssl/sha.h>

namespace atl {

ChunkId Sha256(ConstSpan bytes) {
  ChunkId id;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), id.data());
  return id;
}

}  // namespace atl
