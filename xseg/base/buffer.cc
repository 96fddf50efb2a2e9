// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace atl {
namespace {

constexpr size_t kPage = 4096;

// The smallest class (a power of two pages) that holds `bytes`.
size_t ClassOf(size_t bytes) {
  const size_t pages = std::max<size_t>((bytes + kPage - 1) / kPage, 1);
  return static_cast<size_t>(std::bit_width(pages - 1));
}

}  // namespace

HeapBufferPool::~HeapBufferPool() {
  CHECK(room_.available() == limit_) << "a buffer outlives its pool";
  for (auto& list : kept_) {
    for (std::byte* block : list) std::free(block);
  }
}

Task<Buffer> HeapBufferPool::Get(size_t bytes) {
  const size_t index = ClassOf(bytes);
  const size_t size = kPage << index;
  CHECK(index < kClasses && size <= limit_) << "a buffer of " << bytes << " bytes";
  co_await room_.Acquire(size);
  co_return Take(bytes);
}

Buffer HeapBufferPool::TryGet(size_t bytes) {
  const size_t index = ClassOf(bytes);
  if (index >= kClasses || !room_.TryAcquire(kPage << index)) return {};
  return Take(bytes);
}

// Its room is acquired.
Buffer HeapBufferPool::Take(size_t bytes) {
  const size_t index = ClassOf(bytes);
  const size_t size = kPage << index;
  auto& list = kept_[index];
  std::byte* block;
  if (list.empty()) {
    block = static_cast<std::byte*>(std::aligned_alloc(kPage, size));
    CHECK(block != nullptr) << "out of memory";
  } else {
    block = list.back();
    list.pop_back();
  }
  return Buffer(this, {block, size}, bytes);
}

void HeapBufferPool::Put(MutSpan block) {
  auto& list = kept_[ClassOf(block.size())];
  if ((list.size() + 1) * block.size() <= kKeptBytesPerClass) {
    list.push_back(block.data());
  } else {
    std::free(block.data());
  }
  room_.Release(block.size());
}

}  // namespace atl
