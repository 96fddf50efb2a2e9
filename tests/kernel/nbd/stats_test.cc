// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/stats.h"

#include <gtest/gtest.h>

#include "kernel/nbd/protocol.h"
#include "kernel/nbd/stats_table.h"

namespace atl::nbd {
namespace {

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
  EXPECT_EQ(row.max_ns, 10u);
  EXPECT_EQ(row.Latency().count, 4u);
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
