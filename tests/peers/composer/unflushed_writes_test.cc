// SPDX-License-Identifier: Apache-2.0
//
// What a record of the write log can take is never more than it may hold.
#include "peers/composer/unflushed_writes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace atl {
namespace {

bool IsZero(const JournalEntry& run) { return run.change == JournalChange::kZero; }

TEST(UnflushedWritesTest, DataWithinZerosMakesMoreRunsOfThem) {
  UnflushedWrites writes;
  writes.Add({0, 256}, JournalChange::kZero);
  for (uint64_t i = 0; i < 15; ++i) writes.Add({2 * i + 1, 1}, JournalChange::kOwn);
  ASSERT_FALSE(writes.too_many());
  writes.Add({41, 1}, JournalChange::kOwn);
  EXPECT_TRUE(writes.too_many()) << "17 runs of zeros";
  writes.Forget();
  EXPECT_TRUE(writes.empty());
}

TEST(UnflushedWritesTest, WhatWasWrittenAgainCountsOnce) {
  UnflushedWrites writes;
  writes.Add({0, 1}, JournalChange::kZero);
  for (int i = 0; i < 1000; ++i) writes.Add({5, 2}, JournalChange::kOwn);
  ASSERT_FALSE(writes.too_many());
  const auto runs = writes.Take();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(std::ranges::count_if(runs, IsZero), 1);
  EXPECT_EQ(LoggedGrains(runs), 2u);
  EXPECT_TRUE(writes.empty());
}

TEST(UnflushedWritesTest, MuchIsTooMuch) {
  UnflushedWrites writes;
  writes.Add({0, kMaxLoggedGrains}, JournalChange::kOwn);
  ASSERT_FALSE(writes.too_many());
  writes.Add({1000, 1}, JournalChange::kOwn);
  EXPECT_TRUE(writes.too_many());
}

}  // namespace
}  // namespace atl
