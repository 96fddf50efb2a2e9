// SPDX-License-Identifier: Apache-2.0
#include "xseg/block_pool.h"

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <thread>

#include "tests/xseg/segment_fixture.h"

namespace atl {
namespace {

class BlockPoolTest : public testing::Test {
 protected:
  std::unique_ptr<Segment> segment_ = MakeSegment();  // 64 x 4 KiB, 16 x 64 KiB, 40 x 1 MiB.
  BlockPool pool_{PartsOf(*segment_), 1};
};

TEST_F(BlockPoolTest, GivesWhatWasAskedForPageAligned) {
  for (const size_t size : {1ul, 4096ul, 4097ul, 65536ul, 65537ul, 1ul << 20, 5ul << 20}) {
    auto buffer = pool_.Allocate(size);
    ASSERT_TRUE(buffer) << size;
    EXPECT_EQ(buffer->size(), size);
    EXPECT_EQ(buffer->ref().offset % kPageBytes, 0u);
    EXPECT_EQ(segment_->Resolve(buffer->ref())->data(), buffer->bytes().data());
    std::memset(buffer->bytes().data(), 1, size);
  }
  EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(BlockPoolTest, ReachesTheLargestSizeAndNoMore) {
  auto buffer = pool_.Allocate(kMaxBufferBytes);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(pool_.in_use(), 32u);
  EXPECT_FALSE(pool_.Allocate(kMaxBufferBytes));
  EXPECT_DEATH((void)pool_.Allocate(kMaxBufferBytes + 1), "CHECK failed");
}

TEST_F(BlockPoolTest, ExhaustionIsAValueAndSmallOnesFallBackToLargerBlocks) {
  std::vector<SharedBuffer> all;
  while (auto buffer = pool_.Allocate(4096)) all.push_back(std::move(*buffer));
  EXPECT_EQ(all.size(), 64u + 16 + 40);
  all.clear();
  EXPECT_TRUE(pool_.Allocate(kMaxBufferBytes));
}

TEST_F(BlockPoolTest, TheFreeStructureRefusesADoubleFree) {
  auto buffer = pool_.Allocate(4096);
  const BufferRef ref = buffer->ref();
  ASSERT_TRUE(pool_.Free(ref).ok());
  buffer->Disown();
  EXPECT_EQ(pool_.Free(ref).code(), Code::kInvalid);
  EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(BlockPoolTest, RefusesToFreeWhatIsNotItsOwn) {
  BlockPool other(PartsOf(*segment_), 2);
  auto buffer = other.Allocate(100);
  EXPECT_EQ(pool_.Free(buffer->ref()).code(), Code::kInvalid);
  EXPECT_EQ(pool_.Free({buffer->ref().offset + 1, 10}).code(), Code::kInvalid);
  EXPECT_EQ(pool_.Free({~0ull, 10}).code(), Code::kInvalid);
  EXPECT_EQ(pool_.Free({}).code(), Code::kInvalid);
}

TEST_F(BlockPoolTest, TwoPoolsNeverShareABlock) {
  BlockPool other(PartsOf(*segment_), 2);
  std::vector<SharedBuffer> mine;
  std::vector<SharedBuffer> theirs;
  std::set<uint64_t> offsets;
  while (true) {
    auto a = pool_.Allocate(4096);
    auto b = other.Allocate(4096);
    if (!a && !b) break;
    if (a) EXPECT_TRUE(offsets.insert(a->ref().offset).second);
    if (b) EXPECT_TRUE(offsets.insert(b->ref().offset).second);
    if (a) mine.push_back(std::move(*a));
    if (b) theirs.push_back(std::move(*b));
  }
}

TEST_F(BlockPoolTest, BlocksOfTheDeadAreFoundAndFreed) {
  {
    BlockPool dead(PartsOf(*segment_), 3);
    for (int i = 0; i < 10; ++i) dead.Allocate(4096)->Disown();
    dead.Allocate(3 << 20)->Disown();
    {
      auto cached = dead.Allocate(4096);
    }
    dead.Forget();
  }
  auto mine = pool_.Allocate(4096);
  EXPECT_EQ(BlocksOf(*segment_, 3), 14u);
  EXPECT_EQ(FreeBlocksOf(PartsOf(*segment_), 3), 14u);
  EXPECT_EQ(BlocksOf(*segment_, 3), 0u);
  EXPECT_EQ(BlocksOf(*segment_, 1), 1u);
}

// Killed after it freed a block and before it set the hint: the block is found all the same.
TEST_F(BlockPoolTest, ALostHintLosesNoBlock) {
  for (int c = 0; c < kBlockClasses; ++c) {
    for (auto& hint : segment_->hints(c)) hint.store(0);
  }
  std::vector<SharedBuffer> all;
  while (auto buffer = pool_.Allocate(4096)) all.push_back(std::move(*buffer));
  EXPECT_EQ(all.size(), 64u + 16 + 40);
}

// Killed after it took a block and before it cleared the hint.
TEST_F(BlockPoolTest, AFalseHintGivesNoBlockTwice) {
  std::vector<SharedBuffer> all;
  std::set<uint64_t> offsets;
  while (auto buffer = pool_.Allocate(4096)) {
    for (int c = 0; c < kBlockClasses; ++c) {
      for (auto& hint : segment_->hints(c)) hint.store(~0ull);
    }
    EXPECT_TRUE(offsets.insert(buffer->ref().offset).second);
    all.push_back(std::move(*buffer));
  }
  EXPECT_EQ(all.size(), 64u + 16 + 40);
}

// Each thread stamps its buffers and checks that nobody else wrote to them.
TEST_F(BlockPoolTest, ManyThreadsTakeAndFreeAtOnce) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (PortIndex owner = 2; owner < 6; ++owner) {
    threads.emplace_back([&, owner] {
      std::mt19937_64 random(seed + owner);
      BlockPool pool(PartsOf(*segment_), owner);
      std::vector<SharedBuffer> held;
      for (int i = 0; i < 20'000; ++i) {
        if (held.size() > 6 || (!held.empty() && random() % 2 == 0)) {
          const size_t at = random() % held.size();
          if (held[at].bytes()[0] != std::byte(owner)) ++wrong;
          if (held[at].bytes().back() != std::byte(owner)) ++wrong;
          std::swap(held[at], held.back());
          held.pop_back();
        } else {
          constexpr size_t kSizes[] = {512, 4096, 30'000, 1 << 20, 3 << 20};
          auto buffer = pool.Allocate(kSizes[random() % 5]);
          if (!buffer) continue;
          buffer->bytes()[0] = std::byte(owner);
          buffer->bytes().back() = std::byte(owner);
          held.push_back(std::move(*buffer));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  for (PortIndex owner = 2; owner < 6; ++owner) EXPECT_EQ(BlocksOf(*segment_, owner), 0u);
  EXPECT_TRUE(pool_.Allocate(kMaxBufferBytes));
}

}  // namespace
}  // namespace atl
