// SPDX-License-Identifier: Apache-2.0
#include "peers/map/interval_map.h"

#include <optional>

#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

// The same by the simplest means: a cell for each sub-grain.
class Oracle {
 public:
  explicit Oracle(size_t size) : cells_(size) {}

  void Set(GrainRange range, std::optional<SourceIndex> source) {
    for (uint64_t i = range.first; i < range.end(); ++i) cells_[i] = source;
  }
  // The joined runs that touch `range`, cut to it or whole.
  std::vector<GrainRun> Find(GrainRange range) const {
    std::vector<GrainRun> runs;
    for (uint64_t i = range.first; i < range.end(); ++i) {
      if (!cells_[i]) continue;
      const bool joins =
          !runs.empty() && runs.back().range.end() == i && runs.back().source == *cells_[i];
      if (joins) {
        ++runs.back().range.count;
      } else {
        runs.push_back({{i, 1}, *cells_[i]});
      }
    }
    return runs;
  }
  std::vector<GrainRun> All() const { return Find({0, cells_.size()}); }

 private:
  std::vector<std::optional<SourceIndex>> cells_;
};

std::vector<GrainRun> Found(const IntervalMap& map, GrainRange range) {
  std::vector<GrainRun> runs;
  map.Find(range, &runs);
  return runs;
}

std::vector<GrainRun> Walked(const IntervalMap& map) {
  std::vector<GrainRun> runs;
  GrainRun run;
  for (uint64_t at = 0; map.FirstAfter(at, &run); at = run.range.end()) runs.push_back(run);
  return runs;
}

TEST(IntervalMap, AgreesWithACellForEachGrain) {
  RandomValues random;
  for (int round = 0; round < 200; ++round) {
    const size_t size = random.In(1, 300);
    const uint64_t sources = random.In(0, 4);
    IntervalMap map;
    Oracle oracle(size);
    for (int step = 0; step < 200; ++step) {
      const uint64_t first = random.In(0, size - 1);
      const GrainRange range{first, random.In(0, std::min<uint64_t>(size - first, 40))};
      if (random.Chance(3)) {
        map.Erase(range);
        oracle.Set(range, std::nullopt);
      } else {
        const auto source = static_cast<SourceIndex>(random.In(0, sources));
        map.Set(range, source);
        oracle.Set(range, source);
      }
      // The runs are the joined ones, exactly.
      ASSERT_EQ(Walked(map), oracle.All());
      ASSERT_EQ(map.run_count(), oracle.All().size());
      const uint64_t from = random.In(0, size - 1);
      const GrainRange looked{from, random.In(0, size - from)};
      ASSERT_EQ(Found(map, looked), oracle.Find(looked));
      ASSERT_EQ(map.Overlaps(looked), !oracle.Find(looked).empty());
    }
    map.Clear();
    EXPECT_TRUE(map.empty());
  }
}

TEST(IntervalMap, JoinsNeighboursOfOneSourceOnBothSides) {
  IntervalMap map;
  map.Set({0, 10}, 1);
  map.Set({20, 10}, 1);
  EXPECT_EQ(map.run_count(), 2u);
  map.Set({10, 10}, 1);
  EXPECT_EQ(Walked(map), (std::vector<GrainRun>{{{0, 30}, 1}}));
  map.Set({10, 10}, 2);
  EXPECT_EQ(map.run_count(), 3u);
  map.Erase({15, 1});
  EXPECT_EQ(Found(map, {14, 3}), (std::vector<GrainRun>{{{14, 1}, 2}, {{16, 1}, 2}}));
}

TEST(IntervalMap, HoldsZeroAsASourceLikeAnyOther) {
  IntervalMap map;
  map.Set({5, 1}, kZeroSource);
  EXPECT_TRUE(map.Overlaps({5, 1}));
  EXPECT_FALSE(map.Overlaps({4, 1}));
  EXPECT_EQ(Walked(map), (std::vector<GrainRun>{{{5, 1}, kZeroSource}}));
}

TEST(IntervalMap, ReachesOverAWholeMap) {
  IntervalMap map;
  map.Set({0, kMapGrains}, 65535);
  map.Set({kMapGrains - 1, 1}, 1);
  EXPECT_EQ(Walked(map),
            (std::vector<GrainRun>{{{0, kMapGrains - 1}, 65535}, {{kMapGrains - 1, 1}, 1}}));
  GrainRun run;
  EXPECT_FALSE(map.FirstAfter(kMapGrains, &run));
}

TEST(IntervalMap, EmptyRangesChangeNothing) {
  IntervalMap map;
  map.Set({3, 0}, 1);
  EXPECT_TRUE(map.empty());
  map.Set({0, 9}, 1);
  map.Erase({3, 0});
  EXPECT_EQ(map.run_count(), 1u);
  EXPECT_FALSE(map.Overlaps({3, 0}));
  EXPECT_TRUE(Found(map, {3, 0}).empty());
}

TEST(IntervalMap, AMillionScatteredChangesTakeAboutTwentyFourMegabytes) {
  RandomValues random;
  IntervalMap map;
  const uint64_t stride = kMapGrains >> 20;
  for (uint64_t i = 0; i < 1 << 20; ++i) map.Set({i * stride + random.In(0, stride - 2), 1}, 1);
  EXPECT_EQ(map.run_count(), size_t{1} << 20);
  EXPECT_LE(map.memory_bytes(), 24 * kMiB);
}

}  // namespace
}  // namespace atl
