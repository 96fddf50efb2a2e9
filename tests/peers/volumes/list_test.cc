// SPDX-License-Identifier: Apache-2.0
//
// Listing by pages: every resource once, damaged ones too, whatever the size of a page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Listing : public ::testing::Test {
 protected:
  // What is listed by pages of `limit`; it ends, or it has failed.
  std::vector<ResourceInfo> ListBy(uint32_t limit) {
    std::vector<ResourceInfo> all;
    ListSpec spec;
    spec.limit = limit;
    for (int pages = 0; pages < 100; ++pages) {
      const auto page = env_.Run(node_.atoll().List(spec));
      EXPECT_TRUE(page.ok()) << page.status().ToString();
      if (!page.ok()) return all;
      all.insert(all.end(), page->items.begin(), page->items.end());
      if (page->last) return all;
      spec.after = all.back().name;
      spec.after_name_space = all.back().name_space;
    }
    ADD_FAILURE() << "the listing does not end";
    return all;
  }
  void Damage(const Uuid& uuid) {
    const RecordKey key = RecordKey::Of(RecordKind::kHeader, uuid);
    const auto record = env_.Run(node_.store().GetRecord(key, ReadFor::kLook));
    ASSERT_TRUE(record.ok());
    const Bytes junk(100, std::byte{'?'});
    const Uuid operation = env_.NewUuid();
    ASSERT_TRUE(env_.Run(node_.store().SwapRecord(key, record->version, junk, operation)).ok());
  }
  Result<ResourceInfo> CreateIn(Uuid name_space, std::string name) {
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name_space = name_space;
    spec.name = std::move(name);
    spec.size = kMiB;
    return env_.Run(node_.atoll().Create(spec));
  }
  void TearDown() override { EXPECT_TRUE(node_.Stop().ok()); }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
};

TEST_F(Listing, DamagedEntriesComeOnceWhateverThePage) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  ASSERT_TRUE(hands_.Create("w", kMiB).ok());
  std::set<Uuid> damaged;
  for (int i = 0; i < 3; ++i) {
    const auto made = hands_.Create("d" + std::to_string(i), kMiB);
    ASSERT_TRUE(made.ok());
    damaged.insert(made->uuid);
    Damage(made->uuid);
  }
  for (const uint32_t limit : {1, 2, 3, 4, 5, 100}) {
    std::vector<std::string> names;
    std::set<Uuid> seen;
    for (const ResourceInfo& info : ListBy(limit)) {
      if (info.read_only_reason.empty()) {
        names.push_back(info.name);
        continue;
      }
      EXPECT_THAT(info.name, HasSubstr("(damaged)"));
      EXPECT_TRUE(seen.insert(info.uuid).second) << "twice, by pages of " << limit;
    }
    EXPECT_THAT(names, ElementsAre("v", "w")) << "by pages of " << limit;
    EXPECT_EQ(seen, damaged) << "by pages of " << limit;
  }
}

TEST_F(Listing, EqualNamesInTwoNamespacesAreNotLostAtTheBorderOfAPage) {
  const Uuid one = env_.NewUuid(), two = env_.NewUuid();
  for (const Uuid& name_space : {one, Uuid(), two}) {
    for (const char* name : {"a", "b"}) ASSERT_TRUE(CreateIn(name_space, name).ok());
  }
  for (const uint32_t limit : {1, 2, 3, 4, 5, 6}) {
    std::set<std::pair<std::string, Uuid>> seen;
    const auto all = ListBy(limit);
    for (const ResourceInfo& info : all) seen.emplace(info.name, info.name_space);
    EXPECT_EQ(all.size(), 6U) << "by pages of " << limit;
    EXPECT_EQ(seen.size(), 6U) << "by pages of " << limit;
  }
}

TEST_F(Listing, WhoHasAVolumeElsewhereIsSaid) {
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  ASSERT_TRUE(hands_.Create("w", kMiB).ok());
  ASSERT_TRUE(hands_.Snap("w", "s").ok());
  MemoryNode other(&env_, &world_, {.name = "b"});
  ASSERT_TRUE(env_.Run(other.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(env_.Run(other.atoll().Acquire(Hands::Ref("s"))).ok());
  std::map<std::string, std::string> holders;
  for (const ResourceInfo& info : ListBy(2)) {
    EXPECT_FALSE(info.open && info.name != "w") << info.name;
    holders[info.name] = info.holder;
  }
  EXPECT_THAT(holders["v"], HasSubstr("b (process"));
  EXPECT_EQ(holders["s"], "1 reader");
  EXPECT_TRUE(other.Stop().ok());
  for (const ResourceInfo& info : ListBy(2)) {
    EXPECT_TRUE(info.open || info.holder.empty()) << info.name << " " << info.holder;
  }
}

}  // namespace
}  // namespace atl
