// SPDX-License-Identifier: Apache-2.0
//
// Payload buffers. A front end takes one from the pool of the device it serves, fills it from its
// socket, and everything below uses the same bytes in place. In one process the pool is on the
// heap; between processes it is the segment's buffer area.
//
// Threads: a pool and its buffers belong to one executor thread.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/sync.h"
#include "xseg/base/task.h"

namespace atl {

class BufferPool;

// Owns its bytes until it is destroyed. Page aligned.
class Buffer {
 public:
  Buffer() = default;
  Buffer(BufferPool* pool, MutSpan block, size_t size) : pool_(pool), block_(block), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), block_(other.block_), size_(other.size_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      Release();
      pool_ = std::exchange(other.pool_, nullptr);
      block_ = other.block_;
      size_ = other.size_;
    }
    return *this;
  }
  ~Buffer() { Release(); }

  MutSpan span() const { return block_.first(size_); }
  explicit operator bool() const { return pool_ != nullptr; }
  void Release();

 private:
  BufferPool* pool_ = nullptr;
  MutSpan block_;
  size_t size_ = 0;
};

class BufferPool {
 public:
  virtual ~BufferPool() = default;
  // Waits in line until there is room. The content is undefined: whoever hands it on fills it all.
  virtual Task<Buffer> Get(size_t bytes) = 0;
  // The same without waiting; of none if there is no room now.
  virtual Buffer TryGet(size_t bytes) { return {}; }

 private:
  friend class Buffer;
  virtual void Put(MutSpan block) = 0;
};

inline void Buffer::Release() {
  if (pool_) std::exchange(pool_, nullptr)->Put(block_);
}

// Heap memory up to a limit; keeps blocks of the common sizes for the next one who asks.
class HeapBufferPool final : public BufferPool {
 public:
  explicit HeapBufferPool(size_t limit_bytes) : room_(limit_bytes), limit_(limit_bytes) {}
  ~HeapBufferPool() override;
  Task<Buffer> Get(size_t bytes) override;
  Buffer TryGet(size_t bytes) override;

 private:
  Buffer Take(size_t bytes);

  static constexpr size_t kClasses = 14;  // 4 KiB << 0 .. 13: 32 MiB.
  static constexpr size_t kKeptBytesPerClass = 4 << 20;
  void Put(MutSpan block) override;

  Semaphore room_;
  size_t limit_;
  std::vector<std::byte*> kept_[kClasses];
};

}  // namespace atl
