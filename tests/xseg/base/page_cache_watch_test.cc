// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/page_cache_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace atl {
namespace {

constexpr int64_t kNow = 1'000'000;  // ms
constexpr int64_t kAsk = PageCacheWatch::kAskMs;

class PageCacheWatchTest : public testing::Test {
 protected:
  PageCacheWatchTest() { Say("pgsteal_file 5\ndrop_pagecache 0\n"); }
  ~PageCacheWatchTest() override { std::filesystem::remove(path_); }

  void Say(const std::string& counters) {
    std::ofstream(path_) << "nr_free_pages 12\n" << counters << "pgsteal_file_of_others 7\n";
  }

  const std::string path_ = testing::TempDir() + "vmstat." + std::to_string(getpid());
};

TEST_F(PageCacheWatchTest, KnowsNothingOfWhatWasBeforeIt) {
  PageCacheWatch watch(path_);
  EXPECT_FALSE(watch.HasKept(kNow - 1, kNow));
  EXPECT_FALSE(watch.HasKept(kNow - 1, kNow + 10 * kAsk));
}

TEST_F(PageCacheWatchTest, HasKeptAllAsLongAsNothingIsCounted) {
  PageCacheWatch watch(path_);
  (void)watch.HasKept(0, kNow);
  for (int64_t later = kAsk; later < 100 * kAsk; later += kAsk) {
    EXPECT_TRUE(watch.HasKept(kNow + 1, kNow + later));
  }
}

TEST_F(PageCacheWatchTest, HasNotKeptWhatWasThereBeforeSomethingWasCounted) {
  for (const char* counters :
       {"pgsteal_file 6\ndrop_pagecache 0\n", "pgsteal_file 5\ndrop_pagecache 1\n"}) {
    Say("pgsteal_file 5\ndrop_pagecache 0\n");
    PageCacheWatch watch(path_);
    (void)watch.HasKept(0, kNow);
    Say(counters);
    EXPECT_TRUE(watch.HasKept(kNow + 1, kNow + kAsk - 1)) << "not asked yet";
    EXPECT_FALSE(watch.HasKept(kNow + 1, kNow + kAsk)) << counters;
    EXPECT_TRUE(watch.HasKept(kNow + kAsk + 1, kNow + 2 * kAsk)) << "what was seen since then";
  }
}

TEST_F(PageCacheWatchTest, BelievesNothingThatIsNotCounted) {
  for (const char* counters :
       {"pgsteal_file 5\n", "drop_pagecache 0\n", "", "pgsteal_file\ndrop_pagecache 0\n",
        "pgsteal_file five\ndrop_pagecache 0\n"}) {
    Say(counters);
    PageCacheWatch watch(path_);
    (void)watch.HasKept(0, kNow);
    EXPECT_FALSE(watch.HasKept(kNow + 1, kNow + kAsk)) << counters;
  }
  Say(std::string(64 * 1024, '\n') + "pgsteal_file 5\ndrop_pagecache 0\n");
  PageCacheWatch large(path_), none(path_ + ".none");
  for (PageCacheWatch* watch : {&large, &none}) {
    (void)watch->HasKept(0, kNow);
    EXPECT_FALSE(watch->HasKept(kNow + 1, kNow + kAsk));
  }
}

TEST_F(PageCacheWatchTest, CountsAnewWhereItWasNotCounted) {
  PageCacheWatch watch(path_);
  (void)watch.HasKept(0, kNow);
  Say("");
  EXPECT_FALSE(watch.HasKept(kNow + 1, kNow + kAsk));
  Say("pgsteal_file 5\ndrop_pagecache 0\n");
  EXPECT_FALSE(watch.HasKept(kNow + 1, kNow + 2 * kAsk));
  EXPECT_TRUE(watch.HasKept(kNow + 2 * kAsk + 1, kNow + 3 * kAsk));
}

TEST(PageCacheWatch, ReadsWhatThisKernelCounts) {
  std::ifstream file("/proc/vmstat");
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  const bool counts = all.find("\npgsteal_file ") != std::string::npos;
  PageCacheWatch watch;
  // Others may make the kernel give something up at any moment, but not in each.
  bool kept = false;
  for (int64_t at = kNow; at < kNow + 1000 * kAsk && !kept; at += 2 * kAsk) {
    (void)watch.HasKept(0, at);
    kept = watch.HasKept(at + 1, at + kAsk);
  }
  EXPECT_EQ(kept, counts);
}

}  // namespace
}  // namespace atl
