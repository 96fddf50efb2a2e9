// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/tools/atoll/cli_world.h"

namespace atl {
namespace {

class CheckVerbs : public testing::Test {
 protected:
  void SetUp() override {
    world_.Start();
    ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
    ASSERT_EQ(world_.Run({"snapshot", "create", "v", "s"}).exit_code, 0);
  }
  CliWorld world_;
};

TEST_F(CheckVerbs, ACheckOfWhatIsWholeSaysWhatItHasSeen) {
  const CliResult all = world_.Run({"check"});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_NE(all.out.find("checked: 2 resources"), std::string::npos) << all.out;
  EXPECT_NE(all.out.find("found: 0 errors, 0 notes"), std::string::npos) << all.out;
  const auto json = world_.RunJson({"check", "s"}).json();
  EXPECT_EQ(json["resources"], 1);
  EXPECT_EQ(json["errors"], 0);
  EXPECT_TRUE(json["garbage"].is_null());
  EXPECT_TRUE(json["findings"].empty());
}

TEST_F(CheckVerbs, WrongUsageAndUnknownNamesAreErrors) {
  EXPECT_EQ(world_.Run({"check", "nobody"}).exit_code, 1);
  EXPECT_EQ(world_.Run({"check", "--repare"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"scrub", "--rate", "fast"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"scrub", "--status", "--cancel"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"scrub", "--rate", "1K"}).exit_code, 1);
  EXPECT_EQ(world_.Run({"scrub", "nobody"}).exit_code, 1);
}

TEST_F(CheckVerbs, AScrubIsWatchedToItsEndAndItsOutcomeIsKept) {
  const CliResult none = world_.Run({"scrub", "--status"});
  EXPECT_EQ(none.exit_code, 0) << none.err;
  EXPECT_NE(none.out.find("none since"), std::string::npos) << none.out;
  const auto done = world_.RunJson({"scrub"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.json()["state"], "done");
  EXPECT_EQ(done.json()["report"]["errors"], 0);
  EXPECT_EQ(world_.RunJson({"scrub", "--status"}).json()["state"], "done");
  const auto detached = world_.RunJson({"scrub", "v", "--detach", "--rate", "1M"});
  EXPECT_EQ(detached.exit_code, 0) << detached.err;
  EXPECT_EQ(detached.json()["resource"], "v");
  EXPECT_EQ(world_.Run({"scrub", "--cancel"}).exit_code, 0);
}

}  // namespace
}  // namespace atl
