// SPDX-License-Identifier: Apache-2.0
//
// The life of a node as the CLI shows it: real processes, started and stopped.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "tests/tools/atoll/cli_world.h"

namespace atl {
namespace {

TEST(NodeCli, InitWritesAConfigurationThatStarts) {
  CliWorld world;
  const CliResult init = world.RunBare(
      {"node", "init", "--state", world.folder(), "--placement", "isolated", "--format", "json"});
  ASSERT_EQ(init.exit_code, 0) << init.err;
  EXPECT_EQ(init.json()["config"], world.config());
  const CliResult again = world.RunBare({"node", "init", "--state", world.folder()});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("--force"), std::string::npos);
  EXPECT_EQ(world.RunBare({"node", "init"}).exit_code, 2);
  EXPECT_EQ(world.RunBare({"node", "init", "--state", "x", "--placement", "here"}).exit_code, 2);
  ASSERT_EQ(world.Run({"node", "start"}).exit_code, 0);
  EXPECT_EQ(world.RunJson({"node", "status"}).json()["placement"], "isolated");
  struct stat info;
  ASSERT_EQ(stat(world.File("node.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(NodeCli, StartsOnceStopsAndSaysHowItIs) {
  CliWorld world;
  world.WriteConfig();
  const CliResult before = world.RunJson({"node", "status"});
  EXPECT_EQ(before.exit_code, 1);
  EXPECT_EQ(before.json()["state"], "stopped");
  const CliResult nobody = world.Run({"volume", "list"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_NE(nobody.err.find("no node is running for config " + world.config()), std::string::npos);
  EXPECT_NE(nobody.err.find("node start"), std::string::npos);

  ASSERT_EQ(world.Run({"node", "start"}).exit_code, 0);
  const auto status = world.RunJson({"node", "status"}).json();
  EXPECT_EQ(status["state"], "running");
  EXPECT_EQ(status["peers"][0]["name"], "memory");
  const CliResult second = world.Run({"node", "start"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find("running already"), std::string::npos);

  ASSERT_EQ(world.Run({"node", "stop"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(world.File("node.sock")));
  EXPECT_EQ(world.Run({"node", "stop"}).exit_code, 1);
}

// Somebody edits the file of a node that runs, and errs.
TEST(NodeCli, AMistakeInTheConfigurationKeepsNobodyFromAskingOrStoppingTheNode) {
  CliWorld world;
  world.WriteConfig();
  ASSERT_EQ(world.Run({"node", "start"}).exit_code, 0);
  const std::string located = "[node]\nstate = .\n";
  const std::string right = located + ReadWhole(world.config());
  const std::string mistakes[] = {right + "\nshape = round\n", right + "\n[stroe x]\n",
                                  located + "placement = here\n"};
  for (const std::string& mistake : mistakes) {
    std::ofstream(world.config(), std::ios::trunc) << mistake;
    for (const auto& verb : {std::vector<std::string>{"volume", "list"}, {"node", "status"}}) {
      const CliResult asked = world.Run(verb);
      EXPECT_EQ(asked.exit_code, 0) << asked.err;
      EXPECT_NE(asked.err.find("note: a node cannot be started from this"), std::string::npos);
    }
    const CliResult restarted = world.Run({"node", "restart"});
    EXPECT_EQ(restarted.exit_code, 1);
    EXPECT_TRUE(restarted.is_one_line_error()) << restarted.err;
    EXPECT_EQ(world.RunJson({"node", "status"}).json()["state"], "running");
  }
  // It may be the line that says which node is meant.
  std::ofstream(world.config(), std::ios::trunc) << "[node]\nsate = elsewhere\n";
  for (const auto& verb : {std::vector<std::string>{"volume", "list"}, {"node", "stop"}}) {
    const CliResult refused = world.Run(verb);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("unknown key 'sate'"), std::string::npos) << refused.err;
  }
  std::ofstream(world.config(), std::ios::trunc) << located << "placement = here\n";
  EXPECT_EQ(world.Run({"node", "stop"}).exit_code, 0);
  const CliResult started = world.Run({"node", "start"});
  EXPECT_EQ(started.exit_code, 1);
  EXPECT_NE(started.err.find("placement"), std::string::npos) << started.err;
  const CliResult stopped = world.Run({"node", "status"});
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_NE(stopped.err.find("no node is running"), std::string::npos) << stopped.err;
}

TEST(NodeCli, RestartsTheNodeOrAPeer) {
  CliWorld world;
  world.Start();
  const int first = world.RunJson({"node", "status"}).json()["pid"];
  ASSERT_EQ(world.Run({"node", "restart"}).exit_code, 0);
  EXPECT_NE(world.RunJson({"node", "status"}).json()["pid"], first);
  ASSERT_EQ(world.Run({"node", "restart", "memory"}).exit_code, 0);
  EXPECT_EQ(world.RunJson({"node", "status"}).json()["peers"][0]["restarts"], 1);
  const CliResult unknown = world.Run({"node", "restart", "nobody"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.err.find("peer nobody"), std::string::npos);
}

TEST(NodeCli, AFailedStartSaysWhy) {
  CliWorld world;
  world.WriteConfig({{"start_error", "the disk is on fire"}});
  const CliResult start = world.Run({"node", "start"});
  EXPECT_EQ(start.exit_code, 1);
  EXPECT_TRUE(start.is_one_line_error()) << start.err;
  EXPECT_NE(start.err.find("the disk is on fire"), std::string::npos);
  EXPECT_EQ(world.Run({"node", "status"}).exit_code, 1);
}

TEST(NodeCli, ADaemonThatCannotRunShowsTheEndOfItsLog) {
  CliWorld world;
  world.WriteConfig();
  setenv("ATOLLD", "/nowhere/atolld", 1);
  const CliResult start = world.Run({"node", "start"});
  setenv("ATOLLD", ATOLL_TEST_DAEMON, 1);
  EXPECT_EQ(start.exit_code, 1);
  EXPECT_NE(start.err.find("/nowhere/atolld"), std::string::npos) << start.err;
  EXPECT_NE(start.err.find("atolld.log"), std::string::npos) << start.err;
}

TEST(NodeCli, ASecondDaemonOnTheSameStateFolderIsRefused) {
  CliWorld world;
  world.Start();
  const pid_t second = fork();
  if (second == 0) {
    freopen(world.File("second.log").c_str(), "w", stderr);
    execl(ATOLL_TEST_DAEMON, "atolld", "--config", world.config().c_str(), nullptr);
    _exit(127);
  }
  EXPECT_EQ(WaitForExit(second), 1);
  EXPECT_NE(ReadWhole(world.File("second.log")).find("already"), std::string::npos);
  EXPECT_EQ(world.Run({"volume", "list"}).exit_code, 0);
}

TEST(NodeCli, ADeadNodeLeavesNothingInTheWay) {
  CliWorld world;
  world.Start();
  const pid_t pid = world.RunJson({"node", "status"}).json()["pid"];
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  while (world.Run({"node", "status"}).exit_code == 0) usleep(1000);
  EXPECT_TRUE(std::filesystem::exists(world.File("node.sock"))) << "a stale socket was to be left";
  EXPECT_EQ(world.Run({"volume", "list"}).exit_code, 1);
  EXPECT_EQ(world.Run({"node", "start"}).exit_code, 0);
  EXPECT_EQ(world.Run({"volume", "list"}).exit_code, 0);
}

TEST(NodeCli, AStopThatTakesTooLongIsAnErrorOrAKill) {
  CliWorld world;
  world.Start({{"stop_delay_ms", "60000"}});
  const CliResult patient = world.Run({"node", "stop", "--timeout", "0"});
  EXPECT_EQ(patient.exit_code, 1);
  EXPECT_NE(patient.err.find("--kill"), std::string::npos);
  EXPECT_EQ(world.Run({"node", "stop", "--timeout", "0", "--kill"}).exit_code, 0);
  EXPECT_EQ(world.Run({"node", "status"}).exit_code, 1);
}

// Continues it when the test ends, however that ends.
class Stopped {
 public:
  explicit Stopped(pid_t pid) : pid_(pid) { CHECK(kill(pid, SIGSTOP) == 0); }
  ~Stopped() { kill(pid_, SIGCONT); }

 private:
  pid_t pid_;
};

TEST(NodeCli, ANodeThatDoesNotAnswerIsSaidToAndCanBeKilled) {
  CliWorld world;
  world.Start();
  const pid_t pid = world.RunJson({"node", "status"}).json()["pid"];
  const Stopped stopped(pid);
  const std::string silent = "(process " + std::to_string(pid) + ") does not answer";
  const CliResult list = world.Run({"volume", "list"});
  EXPECT_EQ(list.exit_code, 1);
  EXPECT_NE(list.err.find(silent), std::string::npos) << list.err;
  const CliResult patient = world.Run({"node", "stop", "--timeout", "1"});
  EXPECT_EQ(patient.exit_code, 1);
  EXPECT_NE(patient.err.find("--kill"), std::string::npos) << patient.err;
  const CliResult killed = world.Run({"node", "stop", "--timeout", "1", "--kill"});
  EXPECT_EQ(killed.exit_code, 0) << killed.err;
  EXPECT_EQ(world.RunJson({"node", "status"}).json()["state"], "stopped");
}

TEST(NodeCli, WhatIsNoSocketIsNotTakenForOne) {
  CliWorld world;
  world.WriteConfig();
  std::ofstream(world.File("node.sock")) << "mine";
  const CliResult start = world.Run({"node", "start"});
  EXPECT_EQ(start.exit_code, 1);
  EXPECT_NE(start.err.find("node.sock exists and is not a socket"), std::string::npos) << start.err;
  EXPECT_EQ(ReadWhole(world.File("node.sock")), "mine");
}

TEST(NodeCli, InitInAFolderThatIsGoneIsAnError) {
  CliWorld world;
  std::filesystem::create_directory(world.File("gone"));
  CHECK(chdir(world.File("gone").c_str()) == 0);
  std::filesystem::remove(world.File("gone"));
  const CliResult init = world.RunBare({"node", "init", "--state", "var"});
  CHECK(chdir(world.folder().c_str()) == 0);
  EXPECT_EQ(init.exit_code, 1);
  EXPECT_TRUE(init.is_one_line_error()) << init.err;
}

TEST(NodeCli, ForegroundStaysUntilASignal) {
  CliWorld world;
  world.WriteConfig();
  const pid_t daemon = world.Spawn({"--config", world.config(), "node", "start", "--foreground"},
                                   world.File("out"), world.File("err"));
  while (world.Run({"volume", "list"}).exit_code != 0) usleep(1000);
  EXPECT_EQ(world.RunJson({"node", "status"}).json()["pid"], daemon);
  ASSERT_EQ(kill(daemon, SIGTERM), 0);
  EXPECT_EQ(WaitForExit(daemon), 0);
}

TEST(NodeCli, ASecondSignalEndsItAtOnce) {
  CliWorld world;
  world.WriteConfig({{"stop_delay_ms", "60000"}});
  const pid_t daemon = world.Spawn({"--config", world.config(), "node", "start", "--foreground"},
                                   world.File("out"), world.File("err"));
  while (world.Run({"volume", "list"}).exit_code != 0) usleep(1000);
  ASSERT_EQ(kill(daemon, SIGTERM), 0);
  while (ReadWhole(world.File("err")).find("stopping") == std::string::npos) usleep(1000);
  ASSERT_EQ(kill(daemon, SIGTERM), 0);
  EXPECT_EQ(WaitForExit(daemon), 1);
}

TEST(NodeCli, SeveralNodesRunSideBySide) {
  CliWorld first;
  first.Start();
  CliWorld second;
  second.Start();
  EXPECT_EQ(first.Run({"volume", "create", "only-here", "--size", "1M"}).exit_code, 0);
  EXPECT_EQ(second.RunJson({"volume", "list"}).json().size(), 0u);
  EXPECT_EQ(first.RunJson({"volume", "list"}).json().size(), 1u);
}

TEST(NodeCli, ABadConfigurationIsNamedByFileAndLine) {
  CliWorld world;
  FILE* file = fopen(world.config().c_str(), "w");
  fputs("[node]\nplacment = fused\n", file);
  fclose(file);
  const CliResult start = world.Run({"node", "start"});
  EXPECT_EQ(start.exit_code, 1);
  EXPECT_NE(start.err.find("atoll.conf:2: unknown key 'placment'; did you mean 'placement'?"),
            std::string::npos);
  EXPECT_EQ(world.RunBare({"--config", "/nowhere.conf", "volume", "list"}).exit_code, 1);
  EXPECT_NE(world.RunBare({"volume", "list"}).err.find("node init"), std::string::npos);
}

TEST(NodeCli, AFailedCheckOfTheSegmentHasExitCodeOne) {
  CliWorld world;
  world.Start({{"damaged", "yes"}});
  EXPECT_EQ(world.Run({"segment", "check"}).exit_code, 1);
  EXPECT_EQ(world.Run({"segment", "report"}).exit_code, 0);
}

}  // namespace
}  // namespace atl
