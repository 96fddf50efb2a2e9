// SPDX-License-Identifier: Apache-2.0
#include "xseg/shared_buffer_pool.h"

namespace atl {

Task<Buffer> SharedBufferPool::Get(size_t bytes) {
  CHECK(bytes > 0 && bytes <= limit_);
  co_await room_.Acquire(bytes);
  auto block = blocks_->Allocate(bytes);
  while (!block) {
    co_await env_->Sleep(kLookAgainNs);
    block = blocks_->Allocate(bytes);
  }
  const MutSpan span = block->bytes();
  block->Disown();
  co_return Buffer(this, span, bytes);
}

void SharedBufferPool::Put(MutSpan block) {
  const auto offset = static_cast<uint64_t>(block.data() - blocks_->area().data());
  const Status freed = blocks_->Free({offset, static_cast<uint32_t>(block.size())});
  CHECK(freed.ok()) << freed.ToString();
  room_.Release(block.size());
}

}  // namespace atl
