// SPDX-License-Identifier: Apache-2.0
//
// A real isolated node: the daemon and its peers as processes, used with the clients people use.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/atoll/cli_world.h"

namespace atl {
namespace {

// Not a zombie, which whoever is its parent by then has not reaped yet.
bool Runs(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const size_t end = text.rfind(')');
  return end != std::string::npos && text.compare(end, 3, ") Z") != 0;
}

class IsolatedNodeTest : public ::testing::Test {
 protected:
  IsolatedNodeTest() {
    setenv("ATOLLD", ATOLL_REAL_DAEMON, 1);
    std::ofstream(world_.config())
        << "[node]\nstate = state\nplacement = isolated\n[store default]\ndriver = file\n";
  }
  void Start() {
    const CliResult started = world_.Run({"node", "start"});
    ASSERT_EQ(started.exit_code, 0) << started.err;
  }
  std::vector<nlohmann::json> Peers() { return world_.RunJson({"node", "status"}).json()["peers"]; }
  nlohmann::json PeerNamed(const std::string& name) {
    for (const auto& peer : Peers()) {
      if (peer["name"] == name) return peer;
    }
    return {};
  }
  std::string Uri(const std::string& volume) {
    return world_.RunJson({"volume", "show", volume}).json()["nbd_uri"];
  }
  int Copy(const std::string& from, const std::string& to) {
    return std::system(("timeout 60 nbdcopy --connections=4 '" + from + "' '" + to + "'").c_str());
  }
  std::string MakeFile(const std::string& name, size_t bytes) {
    std::string content(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) content[i] = static_cast<char>(i * 2654435761u >> 24);
    std::ofstream(world_.File(name), std::ios::binary) << content;
    return content;
  }
  // Until `condition` holds; false after ten seconds.
  template <typename F>
  bool Eventually(F condition) {
    for (int i = 0; i < 1000; ++i, usleep(10'000)) {
      if (condition()) return true;
    }
    return false;
  }

  CliWorld world_;
};

TEST_F(IsolatedNodeTest, ServesItsVolumesAndLeavesNothingBehind) {
  Start();
  const auto peers = Peers();
  ASSERT_EQ(peers.size(), 4u);
  std::vector<pid_t> pids = {world_.RunJson({"node", "status"}).json()["pid"]};
  for (const auto& peer : peers) {
    EXPECT_EQ(peer["state"], "running");
    pids.push_back(peer["pid"]);
  }
  const std::string content = MakeFile("in", 8 << 20);
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "8M"}).exit_code, 0);
  ASSERT_EQ(Copy(world_.File("in"), Uri("v")), 0);
  ASSERT_EQ(world_.Run({"snapshot", "create", "v", "v@1"}).exit_code, 0);
  ASSERT_EQ(world_.Run({"volume", "create", "c", "--size", "8M", "--from", "v@1"}).exit_code, 0);
  ASSERT_EQ(Copy(Uri("c"), world_.File("out")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("out")) == content);
  EXPECT_EQ(world_.Run({"segment", "check"}).exit_code, 0);
  EXPECT_EQ(world_.Run({"segment", "report"}).exit_code, 0);

  ASSERT_EQ(world_.Run({"node", "stop"}).exit_code, 0);
  for (const pid_t pid : pids) EXPECT_FALSE(Runs(pid)) << pid;
  EXPECT_FALSE(std::filesystem::exists(world_.File("state/nbd.sock")));
  EXPECT_FALSE(std::filesystem::exists(world_.File("state/node.sock")));

  Start();
  ASSERT_EQ(Copy(Uri("v"), world_.File("again")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("again")) == content);
}

TEST_F(IsolatedNodeTest, AFrontEndIsReplacedWhenAskedAndWhenItDies) {
  Start();
  const std::string content = MakeFile("in", 4 << 20);
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "4M"}).exit_code, 0);
  ASSERT_EQ(Copy(world_.File("in"), Uri("v")), 0);
  const pid_t first = PeerNamed("nbd")["pid"];
  ASSERT_EQ(world_.Run({"node", "restart", "nbd"}).exit_code, 0);
  const pid_t second = PeerNamed("nbd")["pid"];
  EXPECT_NE(first, second);
  ASSERT_EQ(kill(second, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    const auto nbd = PeerNamed("nbd");
    return nbd["pid"] != second && nbd["state"] == "running";
  }));
  ASSERT_EQ(Copy(Uri("v"), world_.File("out")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("out")) == content);
  EXPECT_EQ(world_.Run({"segment", "check"}).exit_code, 0);

  for (const std::vector<std::string>& name :
       {std::vector<std::string>{"composer"}, {"mapper"}, {"store", "default"}}) {
    std::vector<std::string> words = {"node", "restart"};
    words.insert(words.end(), name.begin(), name.end());
    const CliResult restarted = world_.Run(words);
    EXPECT_EQ(restarted.exit_code, 0) << restarted.err;
  }
  EXPECT_EQ(PeerNamed("mapper")["restarts"], 1);
  ASSERT_EQ(Copy(Uri("v"), world_.File("again")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("again")) == content);
}

TEST_F(IsolatedNodeTest, WhoeverDiesIsReplacedAndTheNodeServesOn) {
  Start();
  for (const std::string name : {"store default", "mapper", "composer"}) {
    const std::string volume = "v-" + name.substr(0, 5);
    ASSERT_EQ(world_.Run({"volume", "create", volume, "--size", "1M"}).exit_code, 0);
    const pid_t before = PeerNamed(name)["pid"];
    ASSERT_EQ(kill(before, SIGKILL), 0);
    const CliResult opened = world_.Run({"open", volume});
    EXPECT_EQ(opened.exit_code, 0) << opened.err;
    EXPECT_TRUE(Eventually([&] {
      const auto peer = PeerNamed(name);
      return peer["pid"] != before && peer["state"] == "running" && peer["restarts"] == 1;
    }));
    EXPECT_EQ(world_.Run({"segment", "check"}).exit_code, 0);
    ASSERT_EQ(world_.Run({"node", "stop"}).exit_code, 0);
    Start();
    EXPECT_EQ(world_.Run({"open", volume}).exit_code, 0);
  }
}

TEST_F(IsolatedNodeTest, WhatCannotBeStartedAgainIsNamedAndIsTriedOn) {
  Start();
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
  const std::string store = world_.File("state/store"), away = world_.File("away");
  std::filesystem::rename(store, away);
  ASSERT_EQ(kill(PeerNamed("store default")["pid"], SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    return std::string(PeerNamed("store default")["state"]).find("holds no store") !=
           std::string::npos;
  }));
  const CliResult status = world_.Run({"node", "status"});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_NE(status.err.find("store default"), std::string::npos) << status.err;
  // It waits for a while, and then is told.
  const CliResult refused = world_.Run({"open", "v"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("store default"), std::string::npos) << refused.err;
  std::filesystem::rename(away, store);
  EXPECT_TRUE(Eventually([&] { return PeerNamed("store default")["state"] == "running"; }));
  EXPECT_EQ(world_.Run({"open", "v"}).exit_code, 0);
}

TEST_F(IsolatedNodeTest, PeersOutliveTheirDaemonAndTheNextOneGoesOnWithThem) {
  Start();
  const std::string content = MakeFile("in", 1 << 20);
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
  ASSERT_EQ(world_.Run({"open", "v"}).exit_code, 0);
  const std::string uri = Uri("v");
  const auto peers = Peers();
  const pid_t daemon = world_.RunJson({"node", "status"}).json()["pid"];
  ASSERT_EQ(kill(daemon, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !Runs(daemon); }));
  const CliResult alone = world_.Run({"node", "status"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_NE(alone.err.find("go on serving"), std::string::npos) << alone.err;
  ASSERT_EQ(Copy(world_.File("in"), uri), 0);
  Start();
  for (const auto& peer : peers) {
    EXPECT_EQ(PeerNamed(peer["name"])["pid"], peer["pid"]) << peer["name"];
  }
  ASSERT_EQ(Copy(uri, world_.File("out")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("out")) == content);
  EXPECT_EQ(world_.Run({"close", "v"}).exit_code, 0) << "it was held open";
}

TEST_F(IsolatedNodeTest, AFusedNodeTakesThePlaceOfPeersThatWereLeftAlone) {
  Start();
  const std::string content = MakeFile("in", 1 << 20);
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
  ASSERT_EQ(Copy(world_.File("in"), Uri("v")), 0);
  const auto peers = Peers();
  const pid_t daemon = world_.RunJson({"node", "status"}).json()["pid"];
  ASSERT_EQ(kill(daemon, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !Runs(daemon); }));
  std::ofstream(world_.config()) << "[node]\nstate = state\n[store default]\ndriver = file\n";
  Start();
  for (const auto& peer : peers) EXPECT_FALSE(Runs(peer["pid"])) << peer["name"];
  ASSERT_EQ(Copy(Uri("v"), world_.File("out")), 0);
  EXPECT_TRUE(ReadWhole(world_.File("out")) == content);
}

}  // namespace
}  // namespace atl
