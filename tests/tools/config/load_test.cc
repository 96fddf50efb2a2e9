// SPDX-License-Identifier: Apache-2.0
#include "tools/config/load.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

namespace atl {
namespace {

constexpr char kFile[] = "/srv/node/atoll.conf";

std::string ErrorOf(std::string_view text) {
  const auto config = ParseConfig(text, kFile);
  return config.ok() ? "no error" : std::string(config.status().message());
}

TEST(Config, WithoutAStoreItIsRefused) {
  for (const char* text : {"", "# nothing\n", "[node]\nplacement = isolated\n"}) {
    EXPECT_NE(ErrorOf(text).find("there is no [store NAME] in it; 'atoll node init"),
              std::string::npos)
        << ErrorOf(text);
  }
}

TEST(Config, AStoreIsEnoughForANodeBesideTheFile) {
  const auto config = ParseConfig("[store default]\n", kFile);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->state_dir, "/srv/node");
  EXPECT_EQ(config->nbd_socket, "/srv/node/nbd.sock");
  EXPECT_EQ(config->control_socket(), "/srv/node/node.sock");
  EXPECT_TRUE(config->nbd_tcp.empty());
  EXPECT_EQ(config->placement, Placement::kFused);
  EXPECT_FALSE(config->nbd_detect_zeroes);
  EXPECT_TRUE(config->local);
  EXPECT_EQ(config->local_socket(), "/srv/node/local.sock");
  ASSERT_EQ(config->stores.size(), 1u);
  EXPECT_EQ(config->stores[0].driver, "file");
  EXPECT_EQ(config->stores[0].path, "/srv/node/store");
  EXPECT_TRUE(config->stores[0].is_default);
  EXPECT_EQ(config->catalog, "default");
}

TEST(Config, WhatInitWritesIsReadBack) {
  for (const Placement placement : {Placement::kFused, Placement::kIsolated}) {
    const auto config = ParseConfig(InitialConfig(placement), kFile);
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_EQ(config->placement, placement);
    EXPECT_EQ(config->stores.size(), 1u);
    EXPECT_EQ(config->lease_seconds, 15u);
  }
}

TEST(Config, ReadsStoresFiltersAndOptions) {
  const auto config = ParseConfig(
      "[node]\nstate = data\nnbd_tcp=127.0.0.1:10809\nnbd_detect_zeroes = yes\ncatalog = slow\n"
      "local = off\nwrite_log = off\n"
      "[store fast]\ndriver = memory\n"
      "[store slow]\npath = /mnt/slow\ndefault = yes\noption.direct = yes\n"
      "filters = delay:ms=5,jitter=2  checked\n",
      kFile);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->state_dir, "/srv/node/data");
  EXPECT_EQ(config->nbd_tcp, "127.0.0.1:10809");
  EXPECT_TRUE(config->nbd_detect_zeroes);
  EXPECT_FALSE(config->local);
  EXPECT_FALSE(config->write_log);
  ASSERT_EQ(config->stores.size(), 2u);
  EXPECT_FALSE(config->stores[0].is_default);
  EXPECT_EQ(config->stores[0].path, "/srv/node/data/store-fast");
  EXPECT_EQ(config->stores[1].path, "/mnt/slow");
  EXPECT_EQ(config->stores[1].options.at("direct"), "yes");
  ASSERT_EQ(config->stores[1].filters.size(), 2u);
  EXPECT_EQ(config->stores[1].filters[0].options.at("jitter"), "2");
  EXPECT_EQ(config->stores[1].filters[1].name, "checked");
}

TEST(Config, YesAndNoHaveOtherWords) {
  for (const char* word : {"yes", "on", "true", "no", "off", "false"}) {
    const auto config =
        ParseConfig(std::string("[node]\nnbd_detect_zeroes = ") + word + "\n[store a]\n", kFile);
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_EQ(config->nbd_detect_zeroes, std::string("yes on true").find(word) != std::string::npos)
        << word;
  }
}

TEST(Config, ErrorsNameTheLineAndTheNearestWord) {
  EXPECT_EQ(ErrorOf("[node]\n\nplacment = fused\n"),
            "/srv/node/atoll.conf:3: unknown key 'placment'; did you mean 'placement'?");
  EXPECT_EQ(ErrorOf("[nod]\n"),
            "/srv/node/atoll.conf:1: unknown section [nod]; did you mean 'node'?");
  EXPECT_EQ(ErrorOf("[node]\nplacement = fusd\n"),
            "/srv/node/atoll.conf:2: placement: 'fusd' is not one of fused, isolated; did you "
            "mean 'fused'?");
  EXPECT_EQ(ErrorOf("[store a]\nchecksum = on\noption.checksum = off\n"),
            "/srv/node/atoll.conf:3: 'checksum' is no option of a driver: say checksum = VALUE");
  EXPECT_EQ(ErrorOf("[node]\nzzzzzz = 1\n"), "/srv/node/atoll.conf:2: unknown key 'zzzzzz'");
}

TEST(Config, RefusesWhatMakesNoSense) {
  for (const char* text : {
           "[node]\nlease_seconds = many\n",
           "[node]\nlease_seconds = -1\n",
           "[node]\nlease_seconds = 99999999999\n",
           "[node]\nlease_seconds = 0\n",
           "[node]\nnbd_tcp = here\n",
           "[node]\nnbd_tcp = :1\n",
           "[node]\nnbd_tcp = a:70000\n",
           "[node]\nstate =\n",
           "[node]\nlog_level = loud\n",
           "[node]\nnbd_detect_zeroes = maybe\n",
           "[node]\ncatalog = nowhere\n",
           "[node name]\n",
           "[store]\n",
           "[store a]\n[store a]\n",
           "[store a]\ndefault = yes\n[store b]\ndefault = yes\n",
           "[store a]\ndefault = perhaps\n",
           "[store a]\nfilters = delay:ms\n",
           "[node]\nstate = a\nstate = b\n",
           "[node]\n[node]\n",
           "key = value\n",
           "[node\n",
           "[]\n",
           "[no de]\n",
           "nonsense\n",
           "[node]\n= x\n",
       }) {
    // With what every configuration needs.
    const std::string error = ErrorOf(text + std::string("[store last]\n"));
    EXPECT_NE(error, "no error") << text;
    EXPECT_EQ(error.find('\n'), std::string::npos) << "an error is one line";
  }
  EXPECT_NE(ErrorOf(std::string_view("[store a]\n\0\1\2", 13)), "no error");
  EXPECT_NE(ErrorOf("[store a]\n[node]\nstate = /" + std::string(200, 'x')).find("too long"),
            std::string::npos);
  EXPECT_NE(ErrorOf("[store a]\n" + std::string(1 << 20, '#')), "no error");
}

TEST(Config, GarbageIsRefusedAndNeverMore) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  const std::string good = InitialConfig(Placement::kFused);
  for (int round = 0; round < 3000; ++round) {
    std::string text = good;
    for (int hit = 0; hit < 5; ++hit) text[random() % text.size()] = static_cast<char>(random());
    const auto config = ParseConfig(text, kFile);
    if (!config.ok()) {
      EXPECT_TRUE(config.status().message().starts_with(kFile));
    }
  }
}

TEST(Config, IsSearchedInItsPlaces) {
  EXPECT_EQ(*FindConfig("/x/y.conf"), "/x/y.conf");
  setenv("ATOLL_CONFIG", "/from/environment", 1);
  EXPECT_EQ(*FindConfig(""), "/from/environment");
  EXPECT_EQ(*FindConfig("/given"), "/given");
  unsetenv("ATOLL_CONFIG");
  EXPECT_EQ(LoadConfig("/nowhere/atoll.conf").code(), Code::kNotFound);
  EXPECT_EQ(LoadConfig("/").code(), Code::kInvalid);
}

}  // namespace
}  // namespace atl
