// SPDX-License-Identifier: Apache-2.0
//
// The runtime's BufferPool (xseg/base/buffer.h) over a segment's buffer area: payload that every
// peer may use in place. A request names such a buffer by Segment::RefOf.
//
// It gives out up to a limit of its own, in line, counting whole blocks. Where the limits of all
// peers together are within each class of the segment there is always a block for who is admitted;
// where they are not, or where the free large blocks do not lie side by side, it looks again after
// a while, since nobody says when another process frees.
//
// Threads: the port's. The block pool, which is the port's, and the Env outlive it.
#pragma once

#include <cstddef>

#include "xseg/base/buffer.h"
#include "xseg/base/env.h"
#include "xseg/block_pool.h"

namespace atl {

class SharedBufferPool final : public BufferPool {
 public:
  SharedBufferPool(Env* env, BlockPool* blocks, size_t limit_bytes)
      : env_(env), blocks_(blocks), room_(limit_bytes), limit_(limit_bytes) {}

  // 1 <= bytes <= kMaxBufferBytes, and in whole blocks within the limit.
  Task<Buffer> Get(size_t bytes) override;
  Buffer TryGet(size_t bytes) override;

  // What so many bytes take of the smallest class that they fit in.
  static uint64_t CostOf(size_t bytes);

 private:
  static constexpr int64_t kLookAgainNs = 200'000;
  void Put(MutSpan block) override;
  Buffer Own(SharedBuffer block, size_t bytes);

  Env* env_;
  BlockPool* blocks_;
  Semaphore room_;
  size_t limit_;
};

}  // namespace atl
