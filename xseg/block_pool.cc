// SPDX-License-Identifier: Apache-2.0
#include "xseg/block_pool.h"

#include <algorithm>

namespace atl {
namespace {

// A pool keeps at most so many blocks, and never more than 1/32 of the class.
constexpr std::array<size_t, kBlockClasses> kMostCached = {32, 16, 4};
constexpr int kLargest = kBlockClasses - 1;

void FreeWord(const PoolParts::Class& part, uint32_t block) {
  part.words[block].store(0, std::memory_order_release);
  part.hints[block / 64].fetch_or(1ull << (block % 64), std::memory_order_release);
}

void ClearHint(const PoolParts::Class& part, uint32_t block) {
  part.hints[block / 64].fetch_and(~(1ull << (block % 64)), std::memory_order_relaxed);
}

}  // namespace

PoolParts PartsOf(const Segment& segment) {
  PoolParts parts;
  for (int c = 0; c < kBlockClasses; ++c) {
    parts.classes[c] = {segment.block_words(c), segment.hints(c), segment.layout().class_at[c]};
  }
  parts.area = segment.area();
  return parts;
}

BufferRef SharedBuffer::ref() const {
  if (!valid()) return {};
  return {static_cast<uint64_t>(bytes_.data() - pool_->area().data()),
          static_cast<uint32_t>(bytes_.size())};
}

void SharedBuffer::Free() {
  if (pool_ == nullptr) return;
  const Status freed = pool_->Free(ref());
  CHECK(freed.ok()) << freed.ToString();
  Disown();
}

BlockPool::BlockPool(PoolParts parts, PortIndex owner) : parts_(parts), owner_(owner) {
  for (int c = 0; c < kBlockClasses; ++c) {
    cache_limit_[c] = std::min(kMostCached[c], parts_.classes[c].words.size() / 32);
    cached_[c].reserve(cache_limit_[c]);
    // Pools begin at different places, so that they seldom meet.
    const size_t words = std::max<size_t>(parts_.classes[c].hints.size(), 1);
    next_hint_[c] = owner * words / kMaxPorts % words;
  }
}

void BlockPool::Flush() {
  for (int c = 0; c < kBlockClasses; ++c) {
    for (const uint32_t block : cached_[c]) FreeWord(parts_.classes[c], block);
    cached_[c].clear();
  }
}

void BlockPool::Forget() {
  for (auto& blocks : cached_) blocks.clear();
}

std::optional<SharedBuffer> BlockPool::Allocate(size_t bytes) {
  CHECK(bytes > 0 && bytes <= kMaxBufferBytes);
  for (int c = 0; c < kBlockClasses; ++c) {
    if (bytes > kBlockBytes[c]) continue;
    const auto block = TakeBlock(c);
    if (!block) continue;
    ++in_use_;
    return MakeBuffer(c, *block, bytes);
  }
  if (bytes <= kBlockBytes[kLargest]) return std::nullopt;
  const auto count =
      static_cast<uint32_t>((bytes + kBlockBytes[kLargest] - 1) / kBlockBytes[kLargest]);
  const auto first = TakeRun(count);
  if (!first) return std::nullopt;
  in_use_ += count;
  return MakeBuffer(kLargest, *first, bytes);
}

SharedBuffer BlockPool::MakeBuffer(int block_class, uint32_t block, size_t bytes) {
  const uint64_t offset =
      parts_.classes[block_class].area_offset + block * kBlockBytes[block_class];
  return SharedBuffer(this, parts_.area.subspan(offset, bytes));
}

std::optional<uint32_t> BlockPool::TakeBlock(int block_class) {
  auto& cached = cached_[block_class];
  if (!cached.empty()) {
    const uint32_t block = cached.back();
    cached.pop_back();
    parts_.classes[block_class].words[block].store(BlockWord{owner_, BlockUse::kInUse}.Pack(),
                                                   std::memory_order_relaxed);
    return block;
  }
  if (const auto block = TakeHinted(block_class)) return block;
  return TakeAny(block_class);
}

bool BlockPool::TryTake(int block_class, uint32_t block) {
  auto& word = parts_.classes[block_class].words[block];
  uint32_t expected = 0;
  return word.load(std::memory_order_relaxed) == 0 &&
         word.compare_exchange_strong(expected, BlockWord{owner_, BlockUse::kInUse}.Pack(),
                                      std::memory_order_acq_rel, std::memory_order_relaxed);
}

std::optional<uint32_t> BlockPool::TakeHinted(int block_class) {
  const auto& part = parts_.classes[block_class];
  for (size_t i = 0; i < part.hints.size(); ++i) {
    const size_t at = (next_hint_[block_class] + i) % part.hints.size();
    uint64_t bits = part.hints[at].load(std::memory_order_relaxed);
    while (bits != 0) {
      const auto block = static_cast<uint32_t>(at * 64 + TakeLowestBit(&bits));
      if (block >= part.words.size() || !TryTake(block_class, block)) continue;
      // Only who took the block clears its hint: anybody else could clear one that was just set.
      ClearHint(part, block);
      next_hint_[block_class] = at;
      return block;
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> BlockPool::TakeAny(int block_class) {
  const auto& part = parts_.classes[block_class];
  for (uint32_t block = 0; block < part.words.size(); ++block) {
    if (!TryTake(block_class, block)) continue;
    ClearHint(part, block);
    return block;
  }
  return std::nullopt;
}

// From the far end, since single blocks are usually taken from the near one. Blocks are looked at
// before they are taken, so that a search holds none that it does not need.
std::optional<uint32_t> BlockPool::TakeRun(uint32_t count) {
  const auto& part = parts_.classes[kLargest];
  for (const uint32_t block : cached_[kLargest]) FreeWord(part, block);
  cached_[kLargest].clear();
  uint32_t free = 0;
  for (auto block = static_cast<uint32_t>(part.words.size()); block-- > 0;) {
    free = part.words[block].load(std::memory_order_relaxed) == 0 ? free + 1 : 0;
    if (free < count) continue;
    if (TryTakeRun({kLargest, block, count})) return block;
    free = 0;
  }
  return std::nullopt;
}

bool BlockPool::TryTakeRun(BlockRun run) {
  const auto& part = parts_.classes[run.block_class];
  for (uint32_t i = 0; i < run.count; ++i) {
    if (TryTake(run.block_class, run.first + i)) {
      ClearHint(part, run.first + i);
      continue;
    }
    while (i-- > 0) FreeWord(part, run.first + i);
    return false;
  }
  return true;
}

std::optional<BlockPool::BlockRun> BlockPool::RunOf(BufferRef ref) const {
  if (ref.empty() || !ref.FitsIn(parts_.area.size())) return std::nullopt;
  for (int c = 0; c < kBlockClasses; ++c) {
    const auto& part = parts_.classes[c];
    const uint64_t end = part.area_offset + part.words.size() * kBlockBytes[c];
    if (ref.offset < part.area_offset || ref.offset >= end) continue;
    const uint64_t offset = ref.offset - part.area_offset;
    if (offset % kBlockBytes[c] != 0 || ref.offset + ref.length > end) return std::nullopt;
    const auto count = static_cast<uint32_t>((ref.length + kBlockBytes[c] - 1) / kBlockBytes[c]);
    return BlockRun{c, static_cast<uint32_t>(offset / kBlockBytes[c]), count};
  }
  return std::nullopt;
}

Status BlockPool::Free(BufferRef ref) {
  const auto run = RunOf(ref);
  if (!run) return {Code::kInvalid, "freeing what is no buffer"};
  const auto words = parts_.classes[run->block_class].words.subspan(run->first, run->count);
  const uint32_t in_use = BlockWord{owner_, BlockUse::kInUse}.Pack();
  for (const auto& word : words) {
    if (word.load(std::memory_order_relaxed) != in_use) {
      return {Code::kInvalid, "freeing a buffer that this port does not use"};
    }
  }
  in_use_ -= run->count;
  for (uint32_t i = 0; i < run->count; ++i) GiveBack(run->block_class, run->first + i);
  return {};
}

void BlockPool::GiveBack(int block_class, uint32_t block) {
  auto& cached = cached_[block_class];
  if (cached.size() >= cache_limit_[block_class]) {
    FreeWord(parts_.classes[block_class], block);
    return;
  }
  parts_.classes[block_class].words[block].store(BlockWord{owner_, BlockUse::kCached}.Pack(),
                                                 std::memory_order_relaxed);
  cached.push_back(block);
}

uint64_t FreeBlocksOf(const PoolParts& parts, PortIndex owner) {
  uint64_t freed = 0;
  for (const auto& part : parts.classes) {
    for (uint32_t block = 0; block < part.words.size(); ++block) {
      const uint32_t word = part.words[block].load(std::memory_order_acquire);
      if (word == 0) {
        // The hint may have died with whoever freed the block. One too many does no harm.
        part.hints[block / 64].fetch_or(1ull << (block % 64), std::memory_order_relaxed);
      } else if (BlockWord::Unpack(word).owner == owner) {
        FreeWord(part, block);
        ++freed;
      }
    }
  }
  return freed;
}

}  // namespace atl
