// SPDX-License-Identifier: Apache-2.0
#include "xseg/shared_buffer_pool.h"

#include <optional>
#include <vector>

#include "tests/xseg/segment_fixture.h"
#include "xseg/base/sync.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class SharedBufferPoolTest : public testing::Test {
 protected:
  TestEnv env_;
  std::unique_ptr<Segment> segment_ = MakeSegment();  // 40 blocks of 1 MiB.
  std::unique_ptr<Port> port_ = ClaimOrDie(*segment_, "peer");
};

TEST_F(SharedBufferPoolTest, GivesBytesThatARequestCanName) {
  SharedBufferPool pool(&env_, &port_->buffers(), 8 * kMiB);
  {
    Buffer buffer = env_.Run(pool.Get(70'000));
    EXPECT_EQ(buffer.span().size(), 70'000u);
    const BufferRef ref = segment_->RefOf(buffer.span());
    EXPECT_EQ(segment_->Resolve(ref)->data(), buffer.span().data());
    EXPECT_EQ(port_->buffers().in_use(), 1u);
  }
  EXPECT_EQ(port_->buffers().in_use(), 0u);
}

Task<void> Take(SharedBufferPool* pool, size_t bytes, std::vector<Buffer>* into) {
  into->push_back(co_await pool->Get(bytes));
}

TEST_F(SharedBufferPoolTest, WaitsInLineForItsLimit) {
  SharedBufferPool pool(&env_, &port_->buffers(), 2 * kMiB);
  std::vector<Buffer> held;
  for (int i = 0; i < 3; ++i) Spawn(Take(&pool, kMiB, &held));
  env_.RunUntilIdle();
  ASSERT_EQ(held.size(), 2u);
  held.clear();
  env_.RunUntilIdle();
  EXPECT_EQ(held.size(), 1u);
}

TEST_F(SharedBufferPoolTest, LooksAgainWhileOthersHaveAllBlocks) {
  BlockPool other(PartsOf(*segment_), 5);
  std::optional<SharedBuffer> taken = other.Allocate(32 * kMiB);
  SharedBufferPool pool(&env_, &port_->buffers(), 20 * kMiB);
  std::vector<Buffer> held;
  Spawn(Take(&pool, 16 * kMiB, &held));
  for (int i = 0; i < 10; ++i) env_.Step();
  EXPECT_TRUE(held.empty());
  taken.reset();
  env_.RunUntilIdle();
  EXPECT_EQ(held.size(), 1u);
}

}  // namespace
}  // namespace atl
