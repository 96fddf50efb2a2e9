// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "medium.h"
#include "peers/store/record_state.h"
#include "xseg/base/sync.h"

namespace atl {
namespace {

class RecordContract : public StoreContract {
 protected:
  Uuid Op() { return medium->env().NewUuid(); }
  uint64_t Swap(Store& store, const RecordKey& key, uint64_t expected, const Bytes& payload) {
    const auto made = Run(store.SwapRecord(key, expected, payload, Op()));
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? *made : 0;
  }
};
CONTRACT_FOR_ALL(RecordContract);

TEST_P(RecordContract, AFreshRecordHasVersionOneAndCountsUp) {
  const RecordKey key = NewKey();
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(key, ReadFor::kLook)));
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(key, ReadFor::kAct)));
  for (uint64_t version = 0; version < 20; ++version) {
    Store& store = version % 2 == 0 ? *a : *b;
    EXPECT_EQ(Swap(store, key, version, Pattern(version * 100, version)), version + 1);
    const auto record = Run(b->GetRecord(key, version % 3 == 0 ? ReadFor::kAct : ReadFor::kLook));
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    EXPECT_EQ(record->version, version + 1);
    EXPECT_EQ(record->payload, Pattern(version * 100, version));
  }
}

TEST_P(RecordContract, ASwapThatExpectsAnotherVersionIsLostAndChangesNothing) {
  const RecordKey key = NewKey();
  EXPECT_CODE(Code::kConflict, Run(a->SwapRecord(key, 1, Pattern(10, 1), Op())));
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(key, ReadFor::kLook)));
  Swap(*a, key, 0, Pattern(10, 1));
  Swap(*a, key, 1, Pattern(10, 2));
  for (const uint64_t wrong : {0, 1, 3, 100}) {
    EXPECT_CODE(Code::kConflict, Run(b->SwapRecord(key, wrong, Pattern(10, 3), Op())));
  }
  EXPECT_EQ(Run(b->GetRecord(key, ReadFor::kLook))->payload, Pattern(10, 2));
}

TEST_P(RecordContract, ARetryKnowsItsOwnSuccess) {
  const RecordKey key = NewKey();
  const Uuid made = Op(), changed = Op();
  EXPECT_EQ(*Run(a->SwapRecord(key, 0, Pattern(10, 1), made)), 1u);
  EXPECT_EQ(*Run(b->SwapRecord(key, 0, Pattern(10, 1), made)), 1u);
  EXPECT_EQ(*Run(a->SwapRecord(key, 1, Pattern(10, 2), changed)), 2u);
  EXPECT_EQ(*Run(b->SwapRecord(key, 1, Pattern(10, 2), changed)), 2u);
  const auto record = Run(a->GetRecord(key, ReadFor::kLook));
  EXPECT_EQ(record->version, 2u);
  EXPECT_EQ(record->operation, changed);
}

// Otherwise the caller would apply its change a second time on top of its own.
TEST_P(RecordContract, ARetryKnowsItsOwnSuccessAfterTheNextSwaps) {
  const RecordKey key = NewKey();
  const Uuid made = Op(), changed = Op();
  EXPECT_EQ(*Run(a->SwapRecord(key, 0, Pattern(10, 1), made)), 1u);
  EXPECT_EQ(*Run(a->SwapRecord(key, 1, Pattern(10, 2), changed)), 2u);
  for (uint64_t version = 2; version < 2 + kRecordHistory; ++version) {
    Swap(*b, key, version, Pattern(10, 3));
    EXPECT_EQ(*Run(a->SwapRecord(key, 1, Pattern(10, 2), changed)), 2u);
  }
  EXPECT_EQ(Run(a->GetRecord(key, ReadFor::kLook))->payload, Pattern(10, 3));
  EXPECT_TRUE(Run(a->SwapRecord(key, 0, Pattern(10, 1), made)).ok());
  Swap(*b, key, 2 + kRecordHistory, Pattern(10, 3));
  EXPECT_CODE(Code::kConflict, Run(a->SwapRecord(key, 1, Pattern(10, 2), changed)));
}

TEST_P(RecordContract, RecordsHaveALimitAndMayBeEmpty) {
  const RecordKey key = NewKey();
  EXPECT_CODE(Code::kInvalid, Run(a->SwapRecord(key, 0, Bytes(kMaxRecordBytes + 1), Op())));
  EXPECT_CODE(Code::kInvalid, Run(a->SwapRecord(key, 0, Bytes(1), Uuid{})));
  EXPECT_EQ(Swap(*a, key, 0, Pattern(kMaxRecordBytes, 1)), 1u);
  EXPECT_EQ(Run(b->GetRecord(key, ReadFor::kAct))->payload, Pattern(kMaxRecordBytes, 1));
  EXPECT_EQ(Swap(*a, key, 1, {}), 2u);
  EXPECT_TRUE(Run(b->GetRecord(key, ReadFor::kLook))->payload.empty());
}

TEST_P(RecordContract, RemovalAsksForTheVersion) {
  const RecordKey key = NewKey();
  EXPECT_CODE(Code::kNotFound, Run(a->RemoveRecord(key, 1, Op())));
  Swap(*a, key, 0, Pattern(10, 1));
  Swap(*a, key, 1, Pattern(10, 2));
  EXPECT_CODE(Code::kConflict, Run(b->RemoveRecord(key, 1, Op())));
  EXPECT_CODE(Code::kConflict, Run(b->RemoveRecord(key, 3, Op())));
  EXPECT_TRUE(Run(a->GetRecord(key, ReadFor::kLook)).ok());
  EXPECT_OK(Run(b->RemoveRecord(key, 2, Op())));
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(key, ReadFor::kLook)));
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(key, ReadFor::kAct)));
  EXPECT_CODE(Code::kNotFound, Run(b->RemoveRecord(key, 2, Op())));
}

// A version that was seen once never means other bytes.
TEST_P(RecordContract, AttackR14ARemadeRecordCannotBeChangedByWhoReadTheRemovedOne) {
  const RecordKey key = NewKey(RecordKind::kName);
  uint64_t seen = Swap(*a, key, 0, Pattern(10, 0));
  for (int round = 1; round <= 5; ++round) {
    ASSERT_OK(Run(a->RemoveRecord(key, seen, Op())));
    EXPECT_CODE(Code::kConflict, Run(b->SwapRecord(key, seen, Pattern(10, 99), Op())));
    const uint64_t remade = Swap(*a, key, 0, Pattern(10, round));
    EXPECT_GT(remade, seen);
    EXPECT_CODE(Code::kConflict, Run(b->SwapRecord(key, seen, Pattern(10, 99), Op())));
    EXPECT_CODE(Code::kConflict, Run(b->RemoveRecord(key, seen, Op())));
    EXPECT_EQ(Run(b->GetRecord(key, ReadFor::kLook))->payload, Pattern(10, round));
    seen = remade;
  }
}

TEST_P(RecordContract, KindsDoNotShareNames) {
  const RecordKey header = NewKey();
  RecordKey lock = header;
  lock.kind = RecordKind::kLock;
  Swap(*a, header, 0, Pattern(10, 1));
  EXPECT_CODE(Code::kNotFound, Run(a->GetRecord(lock, ReadFor::kLook)));
  Swap(*a, lock, 0, Pattern(10, 2));
  EXPECT_EQ(Run(b->GetRecord(header, ReadFor::kLook))->payload, Pattern(10, 1));
}

TEST_P(RecordContract, ListsEveryRecordOfAKindOnceInOrder) {
  std::set<RecordKey> made;
  for (int i = 0; i < 20; ++i) {
    const RecordKey key = NewKey(RecordKind::kLease);
    const uint64_t version = Swap(*a, key, 0, Pattern(10, 1));
    Swap(*a, NewKey(RecordKind::kName), 0, Pattern(10, 1));
    if (i % 4 == 0) {
      ASSERT_OK(Run(a->RemoveRecord(key, version, Op())));
    } else {
      made.insert(key);
    }
  }
  for (const uint32_t limit : {1u, 4u, 1'000u}) {
    std::vector<RecordKey> listed;
    std::optional<RecordName> after;
    while (true) {
      const auto page = Run(b->ListRecords(RecordKind::kLease, after, limit));
      ASSERT_TRUE(page.ok());
      listed.insert(listed.end(), page->items.begin(), page->items.end());
      if (page->last) break;
      after = page->items.back().name;
    }
    EXPECT_EQ(listed, std::vector<RecordKey>(made.begin(), made.end()));
  }
}

Task<void> Increment(Medium& medium, Store& store, RecordKey key, int times, int* conflicts) {
  for (int done = 0; done < times;) {
    auto record = co_await store.GetRecord(key, ReadFor::kAct);
    const uint64_t version = record.ok() ? record->version : 0;
    Bytes payload = record.ok() ? record->payload : Bytes(8);
    uint64_t value;
    std::memcpy(&value, payload.data(), 8);
    ++value;
    std::memcpy(payload.data(), &value, 8);
    const Uuid operation = medium.env().NewUuid();
    const auto made = co_await store.SwapRecord(key, version, payload, operation);
    if (made.ok()) {
      ++done;
    } else {
      EXPECT_EQ(made.code(), Code::kConflict) << made.status().ToString();
      ++*conflicts;
    }
  }
}

TEST_P(RecordContract, AttackF5ExactlyOneOfManyInstancesWinsEachVersion) {
  constexpr int kInstances = 6, kTimes = 15;
  const RecordKey key = NewKey();
  std::vector<std::unique_ptr<Store>> stores;
  TaskGroup group;
  int conflicts = 0;
  for (int i = 0; i < kInstances; ++i) stores.push_back(Open());
  for (auto& store : stores) group.Run(Increment(*medium, *store, key, kTimes, &conflicts));
  Run(group.Join());
  const auto record = Run(a->GetRecord(key, ReadFor::kLook));
  uint64_t value;
  std::memcpy(&value, record->payload.data(), 8);
  EXPECT_EQ(value, static_cast<uint64_t>(kInstances * kTimes));
  EXPECT_EQ(record->version, value);
  for (auto& store : stores) Run(store->Close());
}

}  // namespace
}  // namespace atl
