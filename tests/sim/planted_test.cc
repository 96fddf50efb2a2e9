// SPDX-License-Identifier: Apache-2.0
//
// That the simulator finds what it is there for: each of some bugs, planted into a copy of the
// sources that this program alone is linked with, is found within 2,000 seeds.
#include "xseg/base/planted.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/campaign.h"

namespace atl {
namespace planted {
namespace {
Bug planted_bug = Bug::kNone;
}  // namespace
bool Has(Bug bug) { return planted_bug == bug; }
}  // namespace planted

namespace {

using planted::Bug;

sim::Outcome RunWith(Bug bug, uint64_t count) {
  planted::planted_bug = bug;
  const sim::Outcome outcome = sim::RunCampaign({.first = 1, .count = count, .jobs = 2});
  planted::planted_bug = Bug::kNone;
  return outcome;
}

void ExpectFound(Bug bug) {
  const sim::Outcome outcome = RunWith(bug, 2000);
  EXPECT_TRUE(outcome.failed) << "not found by " << outcome.seeds << " seeds";
  std::printf("found by seed %llu: %s\n", static_cast<unsigned long long>(outcome.seed),
              outcome.what.c_str());
}

TEST(Planted, NothingIsFoundWhereNothingIsPlanted) {
  const sim::Outcome outcome = RunWith(Bug::kNone, 100);
  EXPECT_FALSE(outcome.failed) << "./dev sim --seed " << outcome.seed << ": " << outcome.what;
}

TEST(Planted, AMissingSyncOfTheBlobIsFound) { ExpectFound(Bug::kNoBlobSync); }
TEST(Planted, AMissingSyncOfTheJournalIsFound) { ExpectFound(Bug::kNoJournalSync); }
TEST(Planted, ALostJournalEntryIsFound) { ExpectFound(Bug::kLostEntry); }
TEST(Planted, AStaleGenerationThatIsAcceptedIsFound) { ExpectFound(Bug::kStaleGeneration); }
TEST(Planted, APinWithoutAFlushIsFound) { ExpectFound(Bug::kPinWithoutFlush); }
TEST(Planted, ARecordOfTheWriteLogThatIsNotSyncedIsFound) { ExpectFound(Bug::kUnsyncedLog); }
TEST(Planted, AMissingMarkInTheWriteLogIsFound) { ExpectFound(Bug::kNoMark); }
TEST(Planted, AMissingReplayIsFound) { ExpectFound(Bug::kNoReplay); }

}  // namespace
}  // namespace atl
