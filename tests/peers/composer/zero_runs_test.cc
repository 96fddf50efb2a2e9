// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/zero_runs.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <vector>

namespace atl {
namespace {

constexpr uint64_t kG = kSubGrain;

std::vector<WriteRun> RunsOf(uint64_t offset, ConstSpan data) {
  const WriteRuns runs = FindZeroRuns(offset, data);
  return {runs.begin(), runs.end()};
}
using Runs = std::vector<WriteRun>;

TEST(ZeroRuns, AWriteThatIsAllZerosIsOneRunOfAnyLengthAndPlace) {
  const Bytes zeros(10 * kG);
  EXPECT_EQ(RunsOf(0, ConstSpan(zeros).first(1)), (Runs{{{0, 1}, true}}));
  EXPECT_EQ(RunsOf(kG - 1, ConstSpan(zeros).first(2)), (Runs{{{kG - 1, 2}, true}}));
  EXPECT_EQ(RunsOf(512, zeros), (Runs{{{512, 10 * kG}, true}}));
}

TEST(ZeroRuns, ShortRunsAmongDataAreData) {
  Bytes data(16 * kG);
  data[0] = data[4 * kG] = std::byte{1};
  data[9 * kG] = data[15 * kG] = std::byte{1};
  EXPECT_EQ(RunsOf(0, data), (Runs{{{0, 5 * kG}, false},
                                   {{5 * kG, 4 * kG}, true},
                                   {{9 * kG, kG}, false},
                                   {{10 * kG, 5 * kG}, true},
                                   {{15 * kG, kG}, false}}));
  // At the ends too.
  EXPECT_EQ(RunsOf(0, ConstSpan(data).subspan(kG, 4 * kG)), (Runs{{{0, 4 * kG}, false}}));
  EXPECT_EQ(RunsOf(0, ConstSpan(data).first(2 * kG)), (Runs{{{0, 2 * kG}, false}}));
}

TEST(ZeroRuns, RunsBeginAndEndWithSubGrainsOfTheVolume) {
  Bytes data(16 * kG);
  data[8 * kG] = std::byte{1};
  EXPECT_EQ(
      RunsOf(512, data),
      (Runs{{{512, 8 * kG - 512}, true}, {{8 * kG, kG}, false}, {{9 * kG, 7 * kG + 512}, true}}));
}

TEST(ZeroRuns, RunsCoverTheWriteAndNothingButZerosIsLeftOut) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const uint64_t offset = random() % (4 * kG);
    Bytes data(1 + random() % (40 * kG));
    for (uint64_t i = random() % 8; i > 0; --i) data[random() % data.size()] = std::byte{1};
    uint64_t at = offset;
    const Runs runs = RunsOf(offset, data);
    for (size_t i = 0; i < runs.size(); ++i) {
      ASSERT_EQ(runs[i].range.offset, at);
      at = runs[i].range.end();
      if (i > 0) {
        ASSERT_NE(runs[i].zero, runs[i - 1].zero);
        ASSERT_EQ(runs[i].range.offset % kG, 0u);
      }
      if (!runs[i].zero) continue;
      ASSERT_TRUE(
          IsAllZero(ConstSpan(data).subspan(runs[i].range.offset - offset, runs[i].range.length)));
      ASSERT_TRUE(runs.size() == 1 || runs[i].range.length >= kMinZeroRun);
    }
    ASSERT_EQ(at, offset + data.size());
  }
}

}  // namespace
}  // namespace atl
