// SPDX-License-Identifier: Apache-2.0
#include "xseg/shared_buffer_pool.h"

namespace atl {

uint64_t SharedBufferPool::CostOf(size_t bytes) {
  for (const uint64_t block : kBlockBytes) {
    if (bytes <= block) return block;
  }
  return AlignUp(bytes, kBlockBytes.back());
}

Task<Buffer> SharedBufferPool::Get(size_t bytes) {
  CHECK(bytes > 0 && CostOf(bytes) <= limit_);
  co_await room_.Acquire(CostOf(bytes));
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
  room_.Release(CostOf(block.size()));
}

}  // namespace atl
