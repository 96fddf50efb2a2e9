// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <utility>

#include "tests/tools/atoll/cli_world.h"
#include "tools/atoll/command_line.h"

namespace atl {
namespace {

class Verb : public testing::Test {
 protected:
  void SetUp() override { world_.Start(); }
  CliResult Good(std::vector<std::string> words) {
    CliResult result = world_.RunJson(std::move(words));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
  void Bad(std::vector<std::string> words, int code, const std::string& part) {
    const CliResult result = world_.Run(std::move(words));
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_TRUE(result.is_one_line_error()) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
  CliWorld world_;
};

TEST_F(Verb, VolumesAreMadeShownChangedAndRemoved) {
  const auto made = Good({"volume", "create", "db1", "--size", "10G"}).json();
  EXPECT_EQ(made["name"], "db1");
  EXPECT_EQ(made["size"], 10'737'418'240u);
  EXPECT_EQ(made["nbd_uri"], "nbd+unix:///db1?socket=" + world_.File("nbd.sock"));
  const auto shown = Good({"volume", "show", "db1"}).json();
  EXPECT_EQ(shown["uuid"], made["uuid"]);
  EXPECT_EQ(shown["space"]["true"], 0);
  EXPECT_EQ(Good({"volume", "resize", "db1", "--size", "11G"}).json()["size"], 11'811'160'064u);
  EXPECT_EQ(Good({"volume", "rename", "db1", "db2"}).json()["name"], "db2");
  const auto list = Good({"volume", "list"}).json();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "db2");
  const std::string uuid = made["uuid"];
  EXPECT_EQ(Good({"volume", "show", "uuid:" + uuid}).json()["name"], "db2");
  EXPECT_EQ(Good({"volume", "remove", "db2"}).json()["removed"], "db2");
  EXPECT_EQ(Good({"volume", "list"}).json().size(), 0u);
}

TEST_F(Verb, SnapshotsAreMadeListedClonedAndRolledBackTo) {
  Good({"volume", "create", "db1", "--size", "1M"});
  const auto snapshot = Good({"snapshot", "create", "db1", "db1@mon"}).json();
  EXPECT_EQ(snapshot["kind"], "snapshot");
  EXPECT_EQ(snapshot["parent"], "db1");
  EXPECT_EQ(Good({"volume", "create", "c", "--from", "db1@mon"}).json()["size"], 1 << 20);
  EXPECT_EQ(Good({"volume", "create", "c2", "--from", "db1@mon", "--size", "2M"}).json()["size"],
            2 << 20);
  EXPECT_EQ(Good({"snapshot", "list"}).json().size(), 1u);
  EXPECT_EQ(Good({"snapshot", "list", "db1"}).json().size(), 1u);
  EXPECT_EQ(Good({"snapshot", "list", "c"}).json().size(), 0u);
  EXPECT_EQ(Good({"snapshot", "show", "db1@mon"}).json()["name"], "db1@mon");
  Good({"volume", "resize", "db1", "--size", "3M"});
  EXPECT_EQ(Good({"volume", "rollback", "db1", "--to", "db1@mon"}).json()["size"], 1 << 20);
  Good({"snapshot", "remove", "db1@mon"});
  EXPECT_EQ(Good({"snapshot", "list"}).json().size(), 0u);
}

TEST_F(Verb, LocksStoresGcAndReportsAnswer) {
  Good({"volume", "create", "v", "--size", "1M"});
  EXPECT_EQ(Good({"open", "v"}).json()["locked"], true);
  EXPECT_EQ(Good({"close", "v"}).json()["locked"], false);
  EXPECT_EQ(Good({"lock", "v"}).json()["holder"], "this-node");
  Bad({"unlock", "v"}, 1, "volume v: ");
  EXPECT_EQ(Good({"unlock", "--force", "v"}).json()["locked"], false);
  EXPECT_EQ(Good({"store", "list"}).json()[0]["default"], true);
  EXPECT_EQ(Good({"store", "show", "default"}).json()["total"], 1 << 30);
  Bad({"store", "show", "other"}, 1, "store other: ");
  EXPECT_EQ(Good({"gc", "--dry-run"}).json()["items"][0], "blob would go");
  EXPECT_EQ(Good({"gc"}).json()["freed_bytes"], 1 << 20);
  EXPECT_EQ(Good({"segment", "report"}).json()["report"], true);
  EXPECT_EQ(Good({"segment", "check"}).json()["report"], true);
  EXPECT_EQ(Good({"trace", "v"}).json()["trace"], "v");
  Bad({"trace", "w"}, 1, "trace w: ");
  const auto totals = Good({"top", "--once"}).json()[0];
  EXPECT_EQ(totals["port"], "memory");
  EXPECT_GT(totals["p99_ns"], 0);
  const auto rates = Good({"top", "--count", "1", "--interval", "0.05"}).json()[0];
  EXPECT_EQ(rates["p99_ns"], 0) << "nothing has ended in the interval";
  EXPECT_EQ(world_.Run({"volume", "list", "--quiet"}).out, "v\n");
}

TEST_F(Verb, WhatMakesNoSenseIsAnErrorThatNamesTheThing) {
  Good({"volume", "create", "v", "--size", "1M"});
  Bad({"volume", "create", "v", "--size", "1M"}, 1, "volume v: ");
  Bad({"volume", "create", "w", "--size", "0"}, 1, "volume w: ");
  Bad({"volume", "create", "w", "--size", "2P"}, 1, "1 PiB");
  Bad({"volume", "create", "w", "--size", "99999999999999999999999"}, 1, "1 PiB");
  Bad({"volume", "create", "w", "--size", "513"}, 1, "multiple of 512");
  Bad({"volume", "create", "a b", "--size", "1M"}, 1, "volume a b: ");
  Bad({"volume", "create", "", "--size", "1M"}, 1, "at least one byte");
  Bad({"volume", "create", std::string(201, 'x'), "--size", "1M"}, 1, "200");
  Bad({"volume", "create", "new\nline", "--size", "1M"}, 1, "0x0a");
  Bad({"volume", "create", "w", "--size", "1M", "--store", "nowhere"}, 1, "nowhere");
  Bad({"volume", "create", "w", "--from", "nothing"}, 1, "nothing");
  Bad({"volume", "create", "w", "--from", "v"}, 1, "not a snapshot");
  Bad({"volume", "show", "nothing"}, 1, "volume nothing: ");
  Bad({"volume", "show", "uuid:xyz"}, 1, "volume uuid:xyz: ");
  Bad({"volume", "resize", "v", "--size", "512K"}, 1, "--force");
  Good({"volume", "resize", "v", "--size", "512K", "--force"});
  Bad({"volume", "rename", "v", "a b"}, 1, "volume a b: ");
  Bad({"volume", "rollback", "v", "--to", "v"}, 1, "not a snapshot");
  Good({"snapshot", "create", "v", "s"});
  Bad({"volume", "show", "s"}, 1, "is a snapshot");
  Bad({"volume", "remove", "s"}, 1, "is a snapshot");
  Bad({"snapshot", "remove", "v"}, 1, "is a volume");
  Bad({"volume", "remove", "--lost", "v"}, 1, "uuid:UUID");
  Bad({"snapshot", "create", "v", "s"}, 1, "snapshot s: ");
}

TEST_F(Verb, WrongUsageHasExitCodeTwo) {
  Bad({}, 2, "a verb is missing");
  Bad({"volume"}, 2, "a verb is missing");
  Bad({"volum", "list"}, 2, "did you mean 'volume'");
  Bad({"volume", "lst"}, 2, "did you mean 'list'");
  Bad({"volume", "create"}, 2, "NAME is missing");
  Bad({"volume", "create", "a"}, 2, "--size");
  Bad({"volume", "create", "a", "b", "--size", "1M"}, 2, "'b' is too much");
  Bad({"volume", "create", "a", "--size", "ten"}, 2, "'ten' is not a size");
  Bad({"volume", "create", "a", "--siz", "1M"}, 2, "--siz");
  Bad({"volume", "create", "a", "--size"}, 2, "size");
  Bad({"volume", "resize", "a"}, 2, "--size is missing");
  Bad({"volume", "list", "--format", "xml"}, 2, "table or json");
  Bad({"top", "--interval", "soon"}, 2, "--interval");
  Bad({"completion", "fish"}, 2, "bash or zsh");
  Bad({"node", "stop", "--timeout", "x"}, 2, "--timeout");
}

TEST_F(Verb, ManyVolumesAreListedPageByPage) {
  for (int i = 0; i < 30; ++i) {
    world_.Run({"volume", "create", "v" + std::to_string(i), "--size", "1M"});
  }
  EXPECT_EQ(Good({"volume", "list"}).json().size(), 30u);
}

TEST_F(Verb, EveryVerbHasHelp) {
  const std::string all = world_.RunBare({"--help"}).out;
  for (const VerbRow& row : Verbs()) {
    std::vector<std::string> words;
    if (!row.group.empty()) words.emplace_back(row.group);
    words.emplace_back(row.name);
    words.emplace_back("--help");
    const CliResult help = world_.RunBare(words);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find(UsageOf(row)), std::string::npos) << help.out;
    EXPECT_NE(all.find(PathOf(row)), std::string::npos);
  }
  EXPECT_NE(world_.RunBare({"volume", "--help"}).out.find("volume import"), std::string::npos);
  EXPECT_TRUE(world_.RunBare({"--version"}).out.starts_with("atoll "));
}

TEST_F(Verb, CompletionKnowsVerbsOptionsAndNames) {
  Good({"volume", "create", "db1", "--size", "1M"});
  const CliResult script = world_.RunBare({"completion", "bash"});
  ASSERT_EQ(script.exit_code, 0);
  const std::string cli = ATOLL_TEST_CLI;
  const auto complete = [&](const std::string& words, int count) {
    const std::string bash = "PATH=" + cli.substr(0, cli.rfind('/')) +
                             ":$PATH; export ATOLL_CONFIG=" + world_.config() + "; source " +
                             world_.File("script") + "; COMP_WORDS=(" + words +
                             "); COMP_CWORD=" + std::to_string(count) +
                             "; _atoll; echo \"${COMPREPLY[@]}\" > " + world_.File("reply");
    EXPECT_EQ(system(("bash -c '" + bash + "'").c_str()), 0);
    return ReadWhole(world_.File("reply"));
  };
  FILE* file = fopen(world_.File("script").c_str(), "w");
  fwrite(script.out.data(), 1, script.out.size(), file);
  fclose(file);
  EXPECT_EQ(complete("atoll vol", 1), "volume\n");
  EXPECT_EQ(complete("atoll volume im", 2), "import\n");
  EXPECT_EQ(complete("atoll volume show d", 3), "db1\n");
  EXPECT_EQ(complete("atoll volume create x --s", 4), "--size --store\n");
  EXPECT_EQ(complete("atoll --format ", 2), "table json\n");
  EXPECT_EQ(complete("atoll node init --placement i", 4), "isolated\n");
}

TEST(VerbsCli, OptionsWithoutAValueAndWordsThatLookLikeOptionsAreWrongUsage) {
  CliWorld world;
  world.Start();
  EXPECT_EQ(world.RunBare({"--config", "", "volume", "list"}).exit_code, 2);
  EXPECT_EQ(world.RunBare({"node", "init", "--state", ""}).exit_code, 2);
  EXPECT_EQ(world.Run({"volume", "create", "a", "--size", ""}).exit_code, 2);
  EXPECT_EQ(world.Run({"volume", "create", "a", "--size=1M", "--store="}).exit_code, 2);
  const CliResult dashed = world.Run({"volume", "create", "-a", "--size", "1M"});
  EXPECT_EQ(dashed.exit_code, 2);
  EXPECT_NE(dashed.err.find("needs '--' before it"), std::string::npos) << dashed.err;
  EXPECT_EQ(world.RunJson({"volume", "list"}).json().size(), 0u);
  EXPECT_EQ(world.Run({"volume", "create", "--size", "1M", "--", "-a"}).exit_code, 0);
  EXPECT_EQ(world.Run({"volume", "list", "--quiet"}).out, "-a\n");
  EXPECT_EQ(world.Run({"volume", "show", "-h"}).out, world.Run({"volume", "show", "--help"}).out);
}

TEST(VerbsCli, AChangeAnswersWithWhatShowSays) {
  CliWorld world;
  world.Start();
  const auto made = world.RunJson({"volume", "create", "v", "--size", "1M"}).json();
  EXPECT_EQ(made, world.RunJson({"volume", "show", "v"}).json());
  const auto grown = world.RunJson({"volume", "resize", "v", "--size", "2M"}).json();
  EXPECT_EQ(grown, world.RunJson({"volume", "show", "v"}).json());
  const auto kept = world.RunJson({"snapshot", "create", "v", "s"}).json();
  EXPECT_EQ(kept, world.RunJson({"snapshot", "show", "s"}).json());
}

TEST(VerbsCli, AnAnswerThatCannotBeWrittenIsAnError) {
  CliWorld world;
  world.Start();
  EXPECT_EQ(WaitForExit(world.Spawn({"--config", world.config(), "volume", "list"}, "/dev/full",
                                    world.File("err"))),
            1);
  EXPECT_EQ(ReadWhole(world.File("err")), "atoll: stdout: No space left on device\n");
  EXPECT_EQ(WaitForExit(world.Spawn({"--help"}, "/dev/full", world.File("err"))), 1);
  const std::string closed =
      std::string(ATOLL_TEST_CLI) + " --config " + world.config() + " volume list >&- 2>/dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(closed.c_str())), 1);
}

}  // namespace
}  // namespace atl
