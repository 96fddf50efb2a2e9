// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/stats.h"

#include <gtest/gtest.h>

#include <random>

#include "kernel/nbd/protocol.h"
#include "kernel/nbd/stats_table.h"
#include "xseg/base/units.h"

namespace atl::nbd {
namespace {

TEST(LatencyHistogram, IsExactToAFifth) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto value = static_cast<int64_t>(random() >> (2 + random() % 60));
    LatencyHistogram histogram;
    histogram.Add(value);
    histogram.Add(INT64_MAX);
    const int64_t found = histogram.Quantile(0.5);
    ASSERT_GE(found, value);
    ASSERT_LE(static_cast<double>(found), static_cast<double>(value) * 1.25 + 1);
  }
}

TEST(LatencyHistogram, FindsQuantilesAndTheMaximum) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), 0);
  for (int i = 0; i < 990; ++i) histogram.Add(1000);
  for (int i = 0; i < 10; ++i) histogram.Add(kMillisecond);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.5)), 1000, 250);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.98)), 1000, 250);
  EXPECT_EQ(histogram.Quantile(0.995), kMillisecond);
  EXPECT_EQ(histogram.max_ns(), kMillisecond);
}

TEST(ExportStats, CountsByKind) {
  ExportStats stats;
  stats.Count(kCmdRead, 4096, false, 10);
  stats.Count(kCmdRead, 4096, true, 10);
  stats.Count(kCmdWrite, 512, false, 10);
  stats.Count(kCmdTrim, 1 << 30, false, 10);
  const PortStats row = stats.ToRow("db");
  EXPECT_EQ(row.port, "nbd");
  EXPECT_EQ(row.object, "db");
  EXPECT_EQ(row.reads, 2u);
  EXPECT_EQ(row.writes, 1u);
  EXPECT_EQ(row.others, 1u);
  EXPECT_EQ(row.errors, 1u);
  EXPECT_EQ(row.read_bytes, 4096u);
  EXPECT_EQ(row.write_bytes, 512u);
  EXPECT_EQ(row.max_ns, 10);
}

TEST(StatsTable, SharesAnExportAndForgetsIdleOnesBeyondItsLimit) {
  StatsTable table(2);
  const auto used = table.Use("a");
  EXPECT_EQ(table.Use("a"), used);
  for (const char* name : {"b", "c", "d", "e"}) table.Use(name);
  const auto rows = table.Rows();
  EXPECT_LE(rows.size(), 4u);
  EXPECT_EQ(rows.front().object, "a");
  EXPECT_EQ(rows.back().object, "e");
}

}  // namespace
}  // namespace atl::nbd
