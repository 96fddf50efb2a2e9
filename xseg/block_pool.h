// SPDX-License-Identifier: Apache-2.0
//
// Buffers for payload in shared memory. One block word for each block says who owns it, and taking
// a block is one compare-and-swap on that word: a process that is killed anywhere either owns the
// block or does not, and what it owned is found by looking at the words (reclaim.h).
//
//   block word: 0 is free; else owner port + 1 in bits 0..15, a BlockUse in 16..23
//
// Beside the words stand hints, one bit a block: "may be free". A hint is set after a block was
// freed and cleared after it was taken, so it may be wrong in both directions when somebody died in
// between; the word decides. When no hint leads to a block all words are looked at once.
//
// Each pool object keeps a few blocks of each class that it owns already (`cached`), so that
// usually no shared word is written but its own. Freeing checks the word: a block that is not in
// use by this port is refused, so nothing can be freed twice.
//
// Sizes: up to 4 KiB, 64 KiB and 1 MiB are one block of the smallest class that fits and has one
// left; up to kMaxBufferBytes are a run of neighbouring 1 MiB blocks. Blocks are page aligned and
// hold what their last owner left there.
//
// Threads: one pool object belongs to the thread of its port; different pools share the segment.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/buffer_ref.h"
#include "xseg/geometry.h"
#include "xseg/segment.h"

namespace atl {

enum class BlockUse : uint8_t { kFree = 0, kInUse = 1, kCached = 2 };

struct BlockWord {
  PortIndex owner = kNoPort;
  BlockUse use = BlockUse::kFree;

  constexpr uint32_t Pack() const {
    if (use == BlockUse::kFree) return 0;
    return (owner + 1u) | static_cast<uint32_t>(use) << 16;
  }
  static constexpr BlockWord Unpack(uint32_t word) {
    return {static_cast<PortIndex>((word & 0xFFFF) - 1), static_cast<BlockUse>(word >> 16 & 0xFF)};
  }
};

// Where the words, hints and bytes of a pool are.
struct PoolParts {
  struct Class {
    std::span<std::atomic<uint32_t>> words;
    std::span<std::atomic<uint64_t>> hints;
    uint64_t area_offset = 0;
  };
  std::array<Class, kBlockClasses> classes;
  MutSpan area;
};
PoolParts PartsOf(const Segment& segment);

class BlockPool;

// Owns bytes of a pool and frees them; move-only. Outlived by its pool.
class SharedBuffer {
 public:
  SharedBuffer() = default;
  SharedBuffer(SharedBuffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}
  SharedBuffer& operator=(SharedBuffer&& other) noexcept {
    if (this != &other) {
      Free();
      pool_ = std::exchange(other.pool_, nullptr);
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  ~SharedBuffer() { Free(); }

  bool valid() const { return pool_ != nullptr; }
  // As many bytes as were asked for.
  MutSpan bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  BufferRef ref() const;
  void Free();
  // Forgets it without freeing: its blocks are left to reclaim.
  void Disown() {
    pool_ = nullptr;
    bytes_ = {};
  }

 private:
  friend class BlockPool;
  SharedBuffer(BlockPool* pool, MutSpan bytes) : pool_(pool), bytes_(bytes) {}
  BlockPool* pool_ = nullptr;
  MutSpan bytes_;
};

class BlockPool {
 public:
  BlockPool(PoolParts parts, PortIndex owner);
  // Buffers have ended before, or the pool was told to Forget.
  ~BlockPool() { Flush(); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Nothing if no block is left: wait until some request is answered. 1 <= bytes <=
  // kMaxBufferBytes.
  std::optional<SharedBuffer> Allocate(size_t bytes);
  MutSpan area() const { return parts_.area; }

  // What SharedBuffer does. kInvalid, and nothing changes, unless every block of it is in use by
  // this port.
  Status Free(BufferRef ref);
  // Blocks that are out as buffers.
  uint64_t in_use() const { return in_use_; }
  // Gives the cached blocks back.
  void Flush();
  // The pool's blocks stay as they are: somebody else reclaims them.
  void Forget();

 private:
  struct BlockRun {
    int block_class;
    uint32_t first;
    uint32_t count;
  };
  std::optional<uint32_t> TakeBlock(int block_class);
  std::optional<uint32_t> TakeHinted(int block_class);
  std::optional<uint32_t> TakeAny(int block_class);
  bool TryTake(int block_class, uint32_t block);
  std::optional<uint32_t> TakeRun(uint32_t count);
  bool TryTakeRun(BlockRun run);
  void GiveBack(int block_class, uint32_t block);
  std::optional<BlockRun> RunOf(BufferRef ref) const;
  SharedBuffer MakeBuffer(int block_class, uint32_t block, size_t bytes);

  PoolParts parts_;
  PortIndex owner_;
  std::array<std::vector<uint32_t>, kBlockClasses> cached_;
  std::array<size_t, kBlockClasses> cache_limit_;
  std::array<size_t, kBlockClasses> next_hint_;
  uint64_t in_use_ = 0;
};

// Frees every block of a dead owner, and repairs hints that were lost. Returns how many it freed.
uint64_t FreeBlocksOf(const PoolParts& parts, PortIndex owner);

}  // namespace atl
