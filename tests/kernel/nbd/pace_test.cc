// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/pace.h"

#include <gtest/gtest.h>

namespace atl::nbd {
namespace {

TEST(Pace, NeitherSpinsNorPausesAtFirst) {
  const Pace pace;
  EXPECT_EQ(pace.spin_ns(), 0);
  EXPECT_EQ(pace.pause_ns(), 0);
}

TEST(Pace, SpinsOnceASleepWasShorterThanASpin) {
  Pace pace;
  pace.OnSleep(Pace::kMostSpinNs + 1);
  EXPECT_EQ(pace.spin_ns(), 0);
  pace.OnSleep(Pace::kMostSpinNs);
  EXPECT_EQ(pace.spin_ns(), Pace::kMostSpinNs);
}

TEST(Pace, GivesUpSpinsThatFindNothing) {
  Pace pace;
  pace.OnSleep(1);
  int64_t spent_ns = 0;
  for (int i = 0; i < 100; ++i) {
    spent_ns += pace.spin_ns();
    pace.OnSpin(false);
  }
  EXPECT_EQ(pace.spin_ns(), 0);
  EXPECT_LE(spent_ns, 2 * Pace::kMostSpinNs);
}

TEST(Pace, SpinsAsLongAsBeforeOnceThatWasWorthIt) {
  Pace pace;
  pace.OnSleep(1);
  pace.OnSpin(false);
  EXPECT_EQ(pace.spin_ns(), Pace::kMostSpinNs / 2);
  pace.OnSpin(true);
  EXPECT_EQ(pace.spin_ns(), Pace::kMostSpinNs);
}

TEST(Pace, PausesLongerAsLongAsRepliesAreLeftUnread) {
  Pace pace;
  int64_t before_ns = 0;
  for (int i = 0; i < 100; ++i) {
    pace.OnLook(true);
    EXPECT_GE(pace.pause_ns(), before_ns);
    before_ns = pace.pause_ns();
  }
  EXPECT_EQ(pace.pause_ns(), Pace::kMostPauseNs);
}

TEST(Pace, DoesNotPauseForWhoWaitsForUs) {
  Pace pace;
  for (int i = 0; i < 20; ++i) pace.OnLook(true);
  for (int i = 0; i < 5; ++i) pace.OnLook(false);
  EXPECT_EQ(pace.pause_ns(), 0);
}

TEST(Pace, LooksSeldomUnlessItPauses) {
  Pace pace;
  int looks = 0;
  for (uint32_t i = 0; i < 10 * Pace::kBatchesBetweenLooks; ++i) looks += pace.WantsLook();
  EXPECT_EQ(looks, 10);
  pace.OnLook(true);
  EXPECT_TRUE(pace.WantsLook());
  EXPECT_TRUE(pace.WantsLook());
}

}  // namespace
}  // namespace atl::nbd
