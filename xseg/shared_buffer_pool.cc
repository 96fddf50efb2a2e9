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
  co_return Own(*std::move(block), bytes);
}

Buffer SharedBufferPool::TryGet(size_t bytes) {
  if (bytes == 0 || !room_.TryAcquire(CostOf(bytes))) return {};
  auto block = blocks_->Allocate(bytes);
  if (block) return Own(*std::move(block), bytes);
  room_.Release(CostOf(bytes));
  return {};
}

Buffer SharedBufferPool::Own(SharedBuffer block, size_t bytes) {
  const MutSpan span = block.bytes();
  block.Disown();
  return Buffer(this, span, bytes);
}

void SharedBufferPool::Put(MutSpan block) {
  const auto offset = static_cast<uint64_t>(block.data() - blocks_->area().data());
  const Status freed = blocks_->Free({offset, static_cast<uint32_t>(block.size())});
  CHECK(freed.ok()) << freed.ToString();
  room_.Release(CostOf(block.size()));
}

}  // namespace atl
