// SPDX-License-Identifier: Apache-2.0
//
// When operations go to the kernel.
#include "xseg/base/io_ring.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "xseg/base/executor.h"
#include "xseg/base/fd.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

// A file whose bytes the page cache has, so that a read is done as soon as the kernel has it.
Fd CachedFile(size_t bytes) {
  char name[] = "/tmp/atoll-io-ring-XXXXXX";
  Fd file(mkstemp(name));
  CHECK(file.get() >= 0 && unlink(name) == 0);
  const std::vector<std::byte> ones(bytes, std::byte{1});
  CHECK(pwrite(file.get(), ones.data(), bytes, 0) == static_cast<ssize_t>(bytes));
  return file;
}

TEST(IoRing, HandsReadsOfFilesToTheKernelEightAtATime) {
  constexpr int kReads = 20;
  Executor executor;
  const Fd file = CachedFile(kReads);
  std::array<std::byte, kReads> out{};
  const auto count_done = [&out] { return std::count(out.begin(), out.end(), std::byte{1}); };
  std::vector<int64_t> done_before;
  const auto read = [&](size_t at) -> Task<void> {
    done_before.push_back(count_done());
    EXPECT_EQ(co_await executor.ring().Read(file.get(), {&out[at], 1}, at), 1);
  };
  const auto all = [&]() -> Task<void> {
    TaskGroup group;
    for (size_t at = 0; at < kReads; ++at) group.Run(read(at));
    EXPECT_EQ(executor.ring().files_in_flight(), static_cast<uint64_t>(kReads));
    done_before.push_back(count_done());
    co_await group.Join();
  };
  executor.RunUntilDone(all());
  EXPECT_EQ(count_done(), kReads);
  // The ninth brings the first eight on their way, when it is prepared.
  EXPECT_EQ(done_before[8], 0);
  EXPECT_EQ(done_before[9], 8);
  EXPECT_EQ(done_before[16], 8);
  EXPECT_EQ(done_before[17], 16);
  EXPECT_EQ(done_before[kReads], 16);
}

}  // namespace
}  // namespace atl
