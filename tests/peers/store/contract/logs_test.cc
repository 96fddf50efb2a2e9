// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "medium.h"

namespace atl {
namespace {

class LogContract : public StoreContract {
 protected:
  Bytes ReadAll(Store& store, const LogId& id, uint64_t from, size_t most) {
    Bytes out(most);
    const auto got = Run(store.ReadLog(id, from, out));
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    out.resize(got.ok() ? *got : 0);
    return out;
  }
};
CONTRACT_FOR_ALL(LogContract);

TEST_P(LogContract, ReadsBackWhatWasAppended) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  Bytes all;
  for (int i = 0; i < 50; ++i) {
    const Bytes piece = Pattern(1 + 997 * i, i);
    ASSERT_OK(Run(a->Append(id, all.size(), piece)));
    all.insert(all.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(ReadAll(*b, id, 0, all.size() + 100), all);
  EXPECT_EQ(ReadAll(*b, id, all.size(), 100).size(), 0u);
  EXPECT_EQ(ReadAll(*b, id, all.size() + 1'000'000, 100).size(), 0u);
  const Bytes tail(all.end() - 500, all.end());
  EXPECT_EQ(ReadAll(*b, id, all.size() - 500, 4'000), tail);
}

TEST_P(LogContract, TheSameBytesMayBePutAgain) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  const Bytes first = Pattern(1'000, 1), second = Pattern(3'000, 2);
  ASSERT_OK(Run(a->Append(id, 0, first)));
  ASSERT_OK(Run(a->Append(id, 1'000, second)));
  ASSERT_OK(Run(a->Append(id, 1'000, second)));
  Bytes all = first;
  all.insert(all.end(), second.begin(), second.end());
  EXPECT_EQ(ReadAll(*b, id, 0, 10'000), all);
}

TEST_P(LogContract, AnAppendLeavesNoGap) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Append(id, 0, Pattern(10, 1))));
  EXPECT_CODE(Code::kInvalid, Run(a->Append(id, 11, Pattern(10, 1))));
  EXPECT_EQ(ReadAll(*a, id, 0, 100).size(), 10u);
}

TEST_P(LogContract, ASuccessorGoesOnWhereTheLogEnds) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Reserve(id, kMiB)));
  ASSERT_OK(Run(a->Append(id, 0, Pattern(1'000, 1))));
  Run(a->DisownLog(id));
  ASSERT_OK(Run(b->AdoptLog(id, 0)));
  EXPECT_OK(Run(b->Append(id, 1'000, Pattern(1'000, 2))));
  EXPECT_OK(Run(b->SyncLog(id)));
}

TEST_P(LogContract, ReservedBytesReadAsZerosOrAsTheEnd) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Reserve(id, 256 * 1024)));
  EXPECT_TRUE(IsAllZero(ReadAll(*b, id, 0, 300'000)));
  EXPECT_GE(*Run(a->LogUsage(id)), 256 * 1024u);
  ASSERT_OK(Run(a->Append(id, 0, Pattern(5'000, 1))));
  Bytes read = ReadAll(*b, id, 0, 300'000);
  EXPECT_TRUE(std::equal(read.begin(), read.begin() + 5'000, Pattern(5'000, 1).begin()));
  EXPECT_TRUE(IsAllZero(ConstSpan(read).subspan(5'000)));
}

TEST_P(LogContract, TrimGivesBackOnlyWhatWasReserved) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Reserve(id, 4 * kMiB)));
  const Bytes data = Pattern(100'000, 1);
  ASSERT_OK(Run(a->Append(id, 0, data)));
  ASSERT_OK(Run(a->TrimLog(id, 1'000)));
  EXPECT_EQ(ReadAll(*b, id, 0, 200'000), data);
  ASSERT_OK(Run(a->SyncLog(id)));
  EXPECT_LT(*Run(a->LogUsage(id)), kMiB);
  ASSERT_OK(Run(a->Append(id, 100'000, data)));
  EXPECT_EQ(ReadAll(*b, id, 100'000, 200'000), data);
}

TEST_P(LogContract, AnAbsentLogIsNotFound) {
  const LogId id = NewLog();
  Bytes out(10);
  EXPECT_CODE(Code::kNotFound, Run(a->ReadLog(id, 0, out)));
  EXPECT_CODE(Code::kNotFound, Run(a->SyncLog(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->LogUsage(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->RemoveLog(id)));
}

TEST_P(LogContract, ARemovedLogIsGone) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Append(id, 0, Pattern(10, 1))));
  Run(a->DisownLog(id));
  ASSERT_OK(Run(b->RemoveLog(id)));
  Bytes out(10);
  EXPECT_CODE(Code::kNotFound, Run(a->ReadLog(id, 0, out)));
}

TEST_P(LogContract, RefusesWhatIsBeyondTheLimits) {
  const LogId id = NewLog();
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  Bytes large(kMaxStoreIo + 1);
  EXPECT_CODE(Code::kInvalid, Run(a->Append(id, 0, large)));
  EXPECT_CODE(Code::kInvalid, Run(a->ReadLog(id, ~0ull - 1, MutSpan(large).first(10))));
  EXPECT_CODE(Code::kInvalid, Run(a->Reserve(id, ~0ull)));
}

TEST_P(LogContract, ListsEveryLogOnceInOrder) {
  std::set<LogId> made;
  for (uint32_t i = 0; i < 20; ++i) {
    const LogId id = i % 2 == 0 ? LogId::Journal(medium->env().NewUuid(), i, ~i)
                                : LogId::Nodes(medium->env().NewUuid(), i);
    ASSERT_OK(Run(a->AdoptLog(id, 0)));
    made.insert(id);
  }
  std::vector<LogId> listed;
  std::optional<LogId> after;
  while (true) {
    const auto page = Run(b->ListLogs(after, 6));
    ASSERT_TRUE(page.ok());
    listed.insert(listed.end(), page->items.begin(), page->items.end());
    if (page->last) break;
    after = page->items.back();
  }
  EXPECT_EQ(listed, std::vector<LogId>(made.begin(), made.end()));
}

}  // namespace
}  // namespace atl
