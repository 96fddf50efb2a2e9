// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "peers/store/memory/memory_store.h"
#include "tests/peers/store/contract/medium.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

constexpr int kSeeds = 60;

class Lossy : public testing::Test {
 protected:
  std::unique_ptr<MemoryStore> Open(int64_t delay_ns = 0) {
    return std::make_unique<MemoryStore>(
        env,
        MemoryStoreOptions{.world = &world, .min_delay_ns = delay_ns, .max_delay_ns = delay_ns});
  }
  TestEnv env;
  MemoryWorld world{{.seed = TestSeed(5)}};
};

// Also within a page: that 4 KiB were atomic must not be what anybody relies on.
TEST_F(Lossy, AttackF8UnsyncedWritesAreLostBySectorsAndSyncedBytesNeverChange) {
  int lost = 0, survived = 0, torn_pages = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    auto store = Open();
    const BlobId id{.owner = env.NewUuid(), .epoch = 1};
    ASSERT_OK(env.Run(store->Adopt(id, 0)));
    const Bytes old = Pattern(16 * kKiB, 1), fresh = Pattern(8'000, 2);
    ASSERT_OK(env.Run(store->Write(id, 0, old, {})));
    ASSERT_OK(env.Run(store->Sync(id)));
    ASSERT_OK(env.Run(store->Write(id, 1'000, fresh, {})));
    world.PowerLoss(seed);
    store = Open();
    Bytes now(old.size());
    ASSERT_OK(env.Run(store->Read(id, 0, now)));
    Bytes newest = old;
    std::ranges::copy(fresh, newest.begin() + 1'000);
    bool page_lost = false, page_survived = false;
    for (size_t unit = 0; unit < now.size(); unit += kSector) {
      if (unit % kSubGrain == 0) page_lost = page_survived = false;
      const auto same = [&](const Bytes& other) {
        return std::equal(now.begin() + unit, now.begin() + unit + kSector, other.begin() + unit);
      };
      ASSERT_TRUE(same(old) || same(newest)) << "unit at " << unit;
      if (same(old) == same(newest)) continue;  // It was not written.
      ++(same(old) ? lost : survived);
      (same(old) ? page_lost : page_survived) = true;
      if ((unit + kSector) % kSubGrain == 0 && page_lost && page_survived) ++torn_pages;
    }
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(survived, 0);
  EXPECT_GT(torn_pages, 0);
}

TEST_F(Lossy, TheOlderOfTwoUnsyncedWritesMayBeWhatSurvives) {
  bool older = false;
  for (int seed = 1; seed <= 200 && !older; ++seed) {
    auto store = Open();
    const BlobId id{.owner = env.NewUuid(), .epoch = 1};
    ASSERT_OK(env.Run(store->Adopt(id, 0)));
    ASSERT_OK(env.Run(store->Sync(id)));
    const Bytes first = Pattern(kSector, 1), second = Pattern(kSector, 2);
    ASSERT_OK(env.Run(store->Write(id, 0, first, {})));
    ASSERT_OK(env.Run(store->Write(id, 0, second, {})));
    world.PowerLoss(seed);
    store = Open();
    Bytes now(kSector);
    ASSERT_OK(env.Run(store->Read(id, 0, now)));
    ASSERT_TRUE(now == first || now == second || IsAllZero(now));
    older |= now == first;
  }
  EXPECT_TRUE(older);
}

TEST_F(Lossy, ADataSyncedWriteIsDurableWithTheEntryThatLeadsToIt) {
  for (int seed = 1; seed <= kSeeds; ++seed) {
    auto store = Open();
    const BlobId id{.owner = env.NewUuid(), .epoch = 1};
    ASSERT_OK(env.Run(store->Adopt(id, 0)));
    const Bytes data = Pattern(3'000, 3);
    ASSERT_OK(env.Run(store->Write(id, 777, data, {.data_sync = true})));
    world.PowerLoss(seed);
    store = Open();
    Bytes now(data.size());
    ASSERT_OK(env.Run(store->Read(id, 777, now)));
    ASSERT_EQ(now, data);
  }
}

TEST_F(Lossy, ALogKeepsWhatWasSyncedAndAnyPartOfTheRest) {
  for (int seed = 1; seed <= kSeeds; ++seed) {
    auto store = Open();
    const LogId id = LogId::Journal(env.NewUuid(), 1, 1);
    ASSERT_OK(env.Run(store->AdoptLog(id, 0)));
    const Bytes first = Pattern(5'000, 1), second = Pattern(5'000, 2);
    ASSERT_OK(env.Run(store->Append(id, 0, first)));
    ASSERT_OK(env.Run(store->SyncLog(id)));
    ASSERT_OK(env.Run(store->Append(id, 5'000, second)));
    world.PowerLoss(seed);
    store = Open();
    Bytes now(20'000);
    const auto got = env.Run(store->ReadLog(id, 0, now));
    ASSERT_TRUE(got.ok());
    ASSERT_GE(*got, first.size());
    ASSERT_LE(*got, first.size() + second.size());
    ASSERT_TRUE(std::equal(first.begin(), first.end(), now.begin()));
  }
}

TEST_F(Lossy, AttackF13AnEmptyBlobOrLogIsKeptOnceItWasSynced) {
  int lost = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    auto store = Open();
    const BlobId blob{.owner = env.NewUuid(), .epoch = 1},
        unsynced{.owner = env.NewUuid(), .epoch = 1};
    const LogId log = LogId::Journal(env.NewUuid(), 1, 1);
    ASSERT_OK(env.Run(store->Adopt(blob, 0)));
    ASSERT_OK(env.Run(store->Adopt(unsynced, 0)));
    ASSERT_OK(env.Run(store->AdoptLog(log, 0)));
    ASSERT_OK(env.Run(store->Sync(blob)));
    ASSERT_OK(env.Run(store->SyncLog(log)));
    world.PowerLoss(seed);
    store = Open();
    ASSERT_TRUE(env.Run(store->Usage(blob)).ok());
    ASSERT_TRUE(env.Run(store->LogUsage(log)).ok());
    if (!env.Run(store->Usage(unsynced)).ok()) ++lost;
  }
  EXPECT_GT(lost, 0);
}

TEST_F(Lossy, APowerLossChangesTheCacheIdentityAndEndsEveryInstance) {
  auto store = Open();
  const CacheIdentity before = store->info().cache;
  EXPECT_TRUE(Open()->info().cache.Proves(before));
  world.PowerLoss();
  EXPECT_EQ(env.Run(store->GetCapacity()).code(), Code::kUnavailable);
  EXPECT_FALSE(Open()->info().cache.Proves(before));
}

Task<void> Swap(Store& store, RecordKey key, uint64_t expected, ConstSpan payload, Uuid operation) {
  (void)co_await store.SwapRecord(key, expected, payload, operation);
}

// P1 makes version 2 visible and dies before it is durable; P2 reads it; power fails. Who read it
// to act on it must find it again.
TEST_F(Lossy, AttackR2WhatIsReadToBeActedOnOutlivesAPowerLoss) {
  const Bytes first = Pattern(100, 1), second = Pattern(100, 2);
  int lost_after_look = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    for (const ReadFor purpose : {ReadFor::kLook, ReadFor::kAct}) {
      const RecordKey key = RecordKey::Of(RecordKind::kHeader, env.NewUuid());
      auto slow = Open(kSecond), other = Open();
      ASSERT_TRUE(env.Run(other->SwapRecord(key, 0, first, env.NewUuid())).ok());
      Spawn(Swap(*slow, key, 1, second, env.NewUuid()));
      while (env.Run(other->GetRecord(key, ReadFor::kLook))->version == 1) ASSERT_TRUE(env.Step());
      slow->Die();
      ASSERT_EQ(env.Run(other->GetRecord(key, purpose))->version, 2u);
      world.PowerLoss(seed);
      env.RunUntilIdle();
      other = Open();
      const uint64_t found = env.Run(other->GetRecord(key, ReadFor::kLook))->version;
      if (purpose == ReadFor::kAct) ASSERT_EQ(found, 2u) << "seed " << seed;
      if (purpose == ReadFor::kLook && found == 1) ++lost_after_look;
    }
  }
  EXPECT_GT(lost_after_look, 0);
}

// The retry of a swap whose maker died before it was durable hears that it has won.
TEST_F(Lossy, AttackR2AVersionThatARetryFindsOutlivesAPowerLoss) {
  const Bytes payload = Pattern(100, 1);
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const RecordKey key = RecordKey::Of(RecordKind::kHeader, env.NewUuid());
    const Uuid operation = env.NewUuid();
    auto slow = Open(kSecond), other = Open();
    Spawn(Swap(*slow, key, 0, payload, operation));
    while (!env.Run(other->GetRecord(key, ReadFor::kLook)).ok()) ASSERT_TRUE(env.Step());
    slow->Die();
    const auto made = env.Run(other->SwapRecord(key, 0, payload, operation));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    world.PowerLoss(seed);
    env.RunUntilIdle();
    other = Open();
    const auto found = env.Run(other->GetRecord(key, ReadFor::kLook));
    ASSERT_TRUE(found.ok()) << "seed " << seed;
    ASSERT_EQ(found->version, *made);
  }
}

Task<void> Write(Store& store, BlobId id, ConstSpan data) {
  (void)co_await store.Write(id, 0, data, {});
}

// D1 submits A and is killed; D2 replays A, then writes B; A lands over B: unless D2 waits.
TEST_F(Lossy, AttackF2AnAdoptWaitsForTheLateWriteOfADeadInstance) {
  const Bytes a = Pattern(4'096, 1), b = Pattern(4'096, 2);
  auto first = Open(kMillisecond), second = Open();
  const BlobId id{.owner = env.NewUuid(), .epoch = 1};
  ASSERT_OK(env.Run(first->Adopt(id, 0)));
  Spawn(Write(*first, id, a));
  first->Die(4 * kSecond);
  EXPECT_EQ(env.Run(second->Adopt(id, kSecond)).code(), Code::kBusy);
  ASSERT_OK(env.Run(second->Adopt(id, 10 * kSecond)));
  ASSERT_OK(env.Run(second->Write(id, 0, b, {})));
  env.RunUntilIdle();
  Bytes now(b.size());
  ASSERT_OK(env.Run(second->Read(id, 0, now)));
  EXPECT_EQ(now, b);
}

TEST_F(Lossy, AttackF4ASealRefusesTheLateWriteOfADeadInstance) {
  const Bytes a = Pattern(4'096, 1);
  auto first = Open(kMillisecond), second = Open();
  const BlobId id{.owner = env.NewUuid(), .epoch = 1};
  ASSERT_OK(env.Run(first->Adopt(id, 0)));
  Spawn(Write(*first, id, a));
  first->Die(4 * kSecond);
  ASSERT_OK(env.Run(second->Seal(id)));
  env.RunUntilIdle();
  Bytes now(a.size());
  ASSERT_OK(env.Run(second->Read(id, 0, now)));
  EXPECT_TRUE(IsAllZero(now));
}

TEST_F(Lossy, AFullWorldServesLogsAndRecordsFromItsReserve) {
  MemoryWorld small({.capacity_bytes = 2 * kMiB, .reserve_bytes = kMiB});
  MemoryStore store(env, {.world = &small});
  const BlobId id{.owner = env.NewUuid(), .epoch = 1};
  const LogId log = LogId::Journal(env.NewUuid(), 1, 1);
  ASSERT_OK(env.Run(store.Adopt(id, 0)));
  ASSERT_OK(env.Run(store.AdoptLog(log, 0)));
  ASSERT_OK(env.Run(store.Write(id, 0, Bytes(kMiB), {})));
  EXPECT_EQ(env.Run(store.Write(id, kMiB, Bytes(512), {})).code(), Code::kNoSpace);
  EXPECT_OK(env.Run(store.Write(id, 0, Bytes(4'096), {})));
  EXPECT_OK(env.Run(store.Reserve(log, kMiB / 2)));
  EXPECT_OK(env.Run(store.Append(log, 0, Bytes(4'096))));
  ASSERT_OK(env.Run(store.Punch(id, {0, kMiB})));
  EXPECT_OK(env.Run(store.Write(id, 0, Bytes(4'096), {})));
}

}  // namespace
}  // namespace atl
