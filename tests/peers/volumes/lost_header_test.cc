// SPDX-License-Identifier: Apache-2.0
//
// A header record that is gone is damage that is told, not garbage; and no removal, cut off
// wherever it may be, looks like that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class LostHeader : public ::testing::Test {
 protected:
  // v "data", with snapshot s "base" that was opened once.
  void SetUp() override {
    const auto made = hands_.Create("v", kMiB);
    ASSERT_TRUE(made.ok());
    v_ = made->uuid;
    ASSERT_TRUE(hands_.Write("v", 0, "base", true).ok());
    const auto snapshot = hands_.Snap("v", "s");
    ASSERT_TRUE(snapshot.ok());
    s_ = snapshot->uuid;
    ASSERT_TRUE(hands_.Write("v", 0, "data", true).ok());
    ASSERT_EQ(hands_.Read("s", 0, 4), "base");
    for (const char* name : {"v", "s"}) {
      ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref(name))).ok());
    }
  }
  void TearDown() override { EXPECT_TRUE(node_.Stop().ok()); }

  // The accident. What was lost, as a backup has it.
  Bytes Lose(const RecordKey& key) {
    const auto record = env_.Run(node_.store().GetRecord(key, ReadFor::kAct));
    EXPECT_TRUE(record.ok());
    EXPECT_TRUE(env_.Run(node_.store().RemoveRecord(key, record->version, hands_.New())).ok());
    return record->payload;
  }
  void Restore(const RecordKey& key, const Bytes& payload) {
    EXPECT_TRUE(env_.Run(node_.store().SwapRecord(key, 0, payload, hands_.New())).ok());
  }
  static RecordKey HeaderOf(const Uuid& uuid) { return RecordKey::Of(RecordKind::kHeader, uuid); }
  bool Has(const RecordKey& key) {
    return env_.Run(node_.store().GetRecord(key, ReadFor::kLook)).ok();
  }
  // Blobs and logs, by name.
  std::vector<std::string> Things() {
    std::vector<std::string> things;
    const auto blobs = env_.Run(node_.store().ListBlobs(std::nullopt, kMaxPage));
    const auto logs = env_.Run(node_.store().ListLogs(std::nullopt, kMaxPage));
    for (const BlobId& blob : blobs->items) things.push_back(blob.ToString());
    for (const LogId& log : logs->items) things.push_back(log.ToString());
    return things;
  }
  // Collection stops, names the resource and removes nothing.
  void ExpectStopped(const std::string& named) {
    const auto before = Things();
    for (const bool dry_run : {true, false}) {
      const auto report = hands_.Collect(dry_run);
      EXPECT_EQ(report.code(), Code::kCorrupt) << report.status().ToString();
      EXPECT_THAT(report.status().ToString(), HasSubstr("header missing"));
      EXPECT_THAT(report.status().ToString(), HasSubstr(named));
    }
    EXPECT_EQ(Things(), before);
  }
  Status Show(const ResourceRef& ref) { return env_.Run(node_.atoll().Show(ref, false)).status(); }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
  Uuid v_;
  Uuid s_;
};

TEST_F(LostHeader, OfAVolumeStopsGarbageCollectionUntilItIsRestored) {
  const Bytes backup = Lose(HeaderOf(v_));
  ExpectStopped("v (" + v_.ToString() + ")");
  Restore(HeaderOf(v_), backup);
  ASSERT_TRUE(hands_.Collect().ok());
  EXPECT_EQ(hands_.Read("v", 0, 4), "data");
  EXPECT_EQ(hands_.Read("s", 0, 4), "base");
}

TEST_F(LostHeader, IsShownAsDamageAndItsNameIsNotTakenOver) {
  ASSERT_TRUE(hands_.Create("w", kMiB).ok());
  const Bytes backup = Lose(HeaderOf(v_));
  const auto page = env_.Run(node_.atoll().List({}));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->items.size(), 3u);
  EXPECT_EQ(page->items[1].name, "v");
  EXPECT_EQ(page->items[1].uuid, v_);
  EXPECT_EQ(page->items[1].read_only_reason, "corrupt: header missing");
  for (const ResourceRef& ref : {Hands::Ref("v"), ResourceRef::Of(v_)}) {
    const Status status = Show(ref);
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_THAT(status.ToString(), HasSubstr("volume remove --lost uuid:" + v_.ToString()));
  }
  EXPECT_EQ(hands_.Create("v", kMiB).code(), Code::kCorrupt);
  EXPECT_EQ(hands_.Rename("w", "v").code(), Code::kCorrupt);
  EXPECT_EQ(hands_.Remove("v").code(), Code::kCorrupt) << "by its uuid only";
  Restore(HeaderOf(v_), backup);
  EXPECT_EQ(hands_.Read("v", 0, 4), "data");
}

TEST_F(LostHeader, StopsCollectionWithoutItsNameOrWithoutItsLockToo) {
  (void)Lose(HeaderOf(v_));
  const RecordKey lock = RecordKey::Of(RecordKind::kLock, v_);
  const Bytes kept = Lose(lock);
  ExpectStopped(v_.ToString());
  Restore(lock, kept);
  (void)Lose(NameKey(Uuid(), "v"));
  ExpectStopped(v_.ToString());
}

TEST_F(LostHeader, OfASnapshotStopsCollectionToo) {
  ASSERT_TRUE(hands_.Write("v", 0, std::string(kMiB, 'n'), true).ok());
  const Bytes backup = Lose(HeaderOf(s_));
  ExpectStopped("s (" + s_.ToString() + ")");
  Restore(HeaderOf(s_), backup);
  ASSERT_TRUE(hands_.Collect().ok());
  EXPECT_EQ(hands_.Read("s", 0, 4), "base");
}

TEST_F(LostHeader, ALostVolumeIsGivenUpByItsUuidAndItsSnapshotsStay) {
  (void)Lose(HeaderOf(v_));
  const ResourceRef lost = ResourceRef::Of(v_);
  const Status given_up = env_.Run(node_.atoll().Remove(lost));
  ASSERT_TRUE(given_up.ok()) << given_up.ToString();
  const auto report = hands_.Collect();
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_GE(report->blobs, 1u);
  EXPECT_EQ(hands_.Read("s", 0, 4), "base");
  EXPECT_TRUE(hands_.Create("v", kMiB).ok());
  EXPECT_EQ(env_.Run(node_.atoll().Remove(lost)).code(), Code::kNotFound);
}

TEST_F(LostHeader, TheTombstoneOfAVolumeGoesLastOfAll) {
  ASSERT_TRUE(hands_.Remove("v").ok());
  ASSERT_TRUE(hands_.Collect().ok());
  EXPECT_TRUE(Has(HeaderOf(v_))) << "the snapshot still reads from its blobs";
  EXPECT_FALSE(Has(RecordKey::Of(RecordKind::kLock, v_)));
  EXPECT_EQ(hands_.Read("s", 0, 4), "base");
  ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref("s"))).ok());
  ASSERT_TRUE(hands_.Remove("s").ok());
  ASSERT_TRUE(hands_.Collect().ok());
  ASSERT_TRUE(hands_.Collect().ok());
  EXPECT_FALSE(Has(HeaderOf(v_)));
  EXPECT_FALSE(Has(HeaderOf(s_)));
  EXPECT_TRUE(Things().empty());
}

// The remover dies when it has put the tombstone, so that name and lock records stay; then
// collection is cut at each of its calls. The next one has nothing to complain of.
TEST(LostHeaderCuts, NoRemovalThatIsCutOffLooksLikeDamage) {
  int cuts = 0;
  for (int step = 1;; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    TestEnv env;
    MemoryWorld world;
    MemoryNode first(&env, &world, {.name = "first"});
    Hands hands(&env, &first.atoll());
    ASSERT_TRUE(hands.Create("v", kMiB).ok());
    ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
    ASSERT_TRUE(env.Run(first.atoll().Release(Hands::Ref("v"))).ok());
    first.hooks().after = [&](const StoreCall& call) {
      const auto* key = std::get_if<RecordKey>(&call.target);
      if (call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kHeader) first.store().Die();
    };
    EXPECT_FALSE(hands.Remove("v").ok());
    first.hooks().after = nullptr;
    first.Kill();

    MemoryNode second(&env, &world, {.name = "second"});
    ASSERT_TRUE(env.Run(second.atoll().BuryPredecessor(first.incarnation())).ok());
    int calls = 0;
    second.hooks().before = [&](const StoreCall&) {
      if (++calls == step) second.store().Die();
    };
    (void)Hands(&env, &second.atoll()).Collect();
    second.hooks().before = nullptr;
    second.Kill();

    MemoryNode third(&env, &world, {.name = "third"});
    Hands last(&env, &third.atoll());
    for (int i = 0; i < 2; ++i) {
      const auto report = last.Collect();
      ASSERT_TRUE(report.ok()) << report.status().ToString();
    }
    EXPECT_EQ(last.Names(), std::vector<std::string>{});
    const auto left = last.Collect(true);
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(left->blobs + left->logs + left->records, 0u);
    EXPECT_TRUE(last.Create("v", kMiB).ok());
    EXPECT_TRUE(third.Stop().ok());
    if (calls < step) break;
    ++cuts;
  }
  EXPECT_GE(cuts, 20);
}

}  // namespace
}  // namespace atl
