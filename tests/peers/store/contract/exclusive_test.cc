// SPDX-License-Identifier: Apache-2.0
//
// Who may write: adopt, disown, seal, close.
#include "medium.h"

namespace atl {
namespace {

class ExclusiveContract : public StoreContract {
 protected:
  bool can_seal() const { return a->info().capabilities.seal != SealKind::kNone; }
};
CONTRACT_FOR_ALL(ExclusiveContract);

TEST_P(ExclusiveContract, OnlyTheAdopterWrites) {
  const BlobId id = NewBlob();
  const Bytes data = Pattern(512, 1);
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 0, data, {})));
  ASSERT_OK(Run(a->Adopt(id, 0)));
  EXPECT_OK(Run(a->Write(id, 0, data, {})));
  EXPECT_CODE(Code::kFenced, Run(b->Write(id, 0, data, {})));
  EXPECT_CODE(Code::kFenced, Run(b->Punch(id, {0, 512})));
  EXPECT_CODE(Code::kFenced, Run(b->Zero(id, {0, 512}, {})));
  EXPECT_EQ(ReadBack(*b, id, 0, 512), data);
}

TEST_P(ExclusiveContract, AdoptingTwiceIsHarmless) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 0, Pattern(512, 1), {})));
  ASSERT_OK(Run(a->Adopt(id, 0)));
  EXPECT_EQ(ReadBack(*a, id, 0, 512), Pattern(512, 1));
}

TEST_P(ExclusiveContract, AnEmptyBlobIsHeldToo) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  EXPECT_CODE(Code::kBusy, Run(b->Adopt(id, 0)));
  EXPECT_CODE(Code::kBusy, Run(b->Adopt(id, 5 * kMillisecond)));
  Run(a->Disown(id));
  EXPECT_OK(Run(b->Adopt(id, 0)));
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 0, Pattern(512, 1), {})));
  EXPECT_CODE(Code::kBusy, Run(a->Adopt(id, 0)));
}

Task<void> DisownSoon(Medium& medium, Store& store, BlobId id) {
  co_await medium.env().Sleep(20 * kMillisecond);
  co_await store.Disown(id);
}

TEST_P(ExclusiveContract, AnAdoptWaitsForTheHolderToGiveUp) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 3 * kTiB, Pattern(512, 1), {})));
  Spawn(DisownSoon(*medium, *a, id));
  EXPECT_OK(Run(b->Adopt(id, 10 * kSecond)));
}

TEST_P(ExclusiveContract, DisownOfWhatIsNotHeldIsHarmless) {
  Run(a->Disown(NewBlob()));
  Run(a->DisownLog(NewLog()));
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Run(b->Disown(id));
  EXPECT_OK(Run(a->Write(id, 0, Pattern(512, 1), {})));
}

TEST_P(ExclusiveContract, CloseGivesUpEverythingAdopted) {
  const BlobId blob = NewBlob();
  const LogId log = NewLog();
  ASSERT_OK(Run(a->Adopt(blob, 0)));
  ASSERT_OK(Run(a->Write(blob, 0, Pattern(4'096, 1), {})));
  ASSERT_OK(Run(a->AdoptLog(log, 0)));
  Run(a->Close());
  a.reset();
  EXPECT_OK(Run(b->Adopt(blob, 0)));
  EXPECT_OK(Run(b->AdoptLog(log, 0)));
  EXPECT_EQ(ReadBack(*b, blob, 0, 4'096), Pattern(4'096, 1));
}

TEST_P(ExclusiveContract, AnAdoptedLogIsHeld) {
  const LogId id = NewLog();
  EXPECT_CODE(Code::kFenced, Run(a->Append(id, 0, Pattern(10, 1))));
  EXPECT_CODE(Code::kFenced, Run(a->Reserve(id, 4'096)));
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  EXPECT_OK(Run(a->Append(id, 0, Pattern(10, 1))));
  EXPECT_CODE(Code::kFenced, Run(b->Append(id, 10, Pattern(10, 1))));
  EXPECT_CODE(Code::kFenced, Run(b->TrimLog(id, 10)));
  EXPECT_CODE(Code::kBusy, Run(b->AdoptLog(id, 0)));
  Run(a->DisownLog(id));
  ASSERT_OK(Run(b->AdoptLog(id, 0)));
  EXPECT_OK(Run(b->Append(id, 10, Pattern(10, 2))));
}

TEST_P(ExclusiveContract, NothingChangesASealedBlob) {
  const BlobId id = NewBlob();
  if (!can_seal()) {
    EXPECT_CODE(Code::kUnsupported, Run(a->Seal(id)));
    return;
  }
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(64 * 1024, 1);
  ASSERT_OK(Run(a->Write(id, 0, data, {})));
  ASSERT_OK(Run(b->Seal(id)));
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 0, Pattern(512, 2), {})));
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 0, Pattern(512, 2), {.data_sync = true})));
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 0, Pattern(kMiB, 2), {})));
  EXPECT_CODE(Code::kFenced, Run(a->Write(id, 5 * kTiB, Pattern(512, 2), {})));
  EXPECT_CODE(Code::kFenced, Run(a->Punch(id, {0, 4'096})));
  EXPECT_CODE(Code::kFenced, Run(a->Zero(id, {0, 4'096}, {.keep_allocated = true})));
  EXPECT_CODE(Code::kFenced, Run(b->Adopt(id, 0)));
  EXPECT_EQ(ReadBack(*a, id, 0, data.size()), data);
  EXPECT_EQ(ReadBack(*b, id, 0, data.size()), data);
  EXPECT_OK(Run(b->Seal(id)));
  EXPECT_OK(Run(b->Sync(id)));
  Run(a->Disown(id));
  EXPECT_CODE(Code::kFenced, Run(a->Adopt(id, 0)));
  EXPECT_OK(Run(b->Remove(id)));
  Bytes buffer(512);
  EXPECT_CODE(Code::kNotFound, Run(b->Read(id, 0, buffer)));
}

TEST_P(ExclusiveContract, AnAbsentBlobThatIsSealedIsNeverCreated) {
  if (!can_seal()) return;
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Seal(id)));
  EXPECT_CODE(Code::kFenced, Run(a->Adopt(id, 0)));
  EXPECT_CODE(Code::kFenced, Run(b->Adopt(id, 0)));
  EXPECT_CODE(Code::kFenced, Run(b->Write(id, 0, Pattern(512, 2), {})));
  EXPECT_OK(Run(b->Remove(id)));
}

TEST_P(ExclusiveContract, NothingChangesASealedLog) {
  const LogId id = NewLog(), absent = NewLog();
  if (!can_seal()) {
    EXPECT_CODE(Code::kUnsupported, Run(a->SealLog(id)));
    return;
  }
  ASSERT_OK(Run(a->AdoptLog(id, 0)));
  ASSERT_OK(Run(a->Append(id, 0, Pattern(1'000, 1))));
  ASSERT_OK(Run(b->SealLog(id)));
  EXPECT_CODE(Code::kFenced, Run(a->Append(id, 1'000, Pattern(1'000, 2))));
  EXPECT_CODE(Code::kFenced, Run(a->Reserve(id, 8'192)));
  EXPECT_CODE(Code::kFenced, Run(a->TrimLog(id, 0)));
  EXPECT_CODE(Code::kFenced, Run(b->AdoptLog(id, 0)));
  Bytes out(2'000);
  EXPECT_EQ(*Run(b->ReadLog(id, 0, out)), 1'000u);
  EXPECT_OK(Run(b->SealLog(absent)));
  EXPECT_CODE(Code::kFenced, Run(a->AdoptLog(absent, 0)));
  EXPECT_OK(Run(b->RemoveLog(id)));
  EXPECT_OK(Run(b->RemoveLog(absent)));
}

TEST_P(ExclusiveContract, CallsAfterTheEndOfAnInstanceAreRefusedByTheOthersToo) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Run(a->Close());
  a.reset();
  EXPECT_CODE(Code::kFenced, Run(b->Write(id, 0, Pattern(512, 1), {})));
}

}  // namespace
}  // namespace atl
