// SPDX-License-Identifier: Apache-2.0
//
// What is durable with a blob, a log and a chunk, and what a failed sync means.
#include <gtest/gtest.h>

#include "peers/store/file/file_store.h"
#include "peers/store/file/layout.h"
#include "peers/store/sha256.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "tests/peers/store/file/noted_syncs.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

class FileSyncsTest : public testing::Test {
 protected:
  FileSyncsTest() : store_(Open()) {}
  ~FileSyncsTest() override {
    FailSyncsOf(0);
    Close(*store_);
  }
  std::unique_ptr<FileStore> Open() {
    auto store = FileStore::Open(executor_, {.path = path(), .create = true, .reserve_bytes = 0});
    CHECK(store.ok()) << store.status().ToString();
    return *std::move(store);
  }
  template <typename T>
  T Run(Task<T> task) {
    T result = executor_.RunUntilDone(std::move(task));
    executor_.scheduler().RunReady();
    return result;
  }
  void Close(Store& store) {
    executor_.RunUntilDone(store.Close());
    executor_.scheduler().RunReady();
  }
  std::string path() const { return directory_.path() + "/store"; }
  fs::path BlobsPath() const { return fs::path(path()) / kBlobsDir; }
  fs::path LogsPath() const { return fs::path(path()) / kLogsDir; }
  fs::path PathOf(const BlobId& id) const { return BlobsPath() / FileNameOf(id); }
  BlobId Adopted() {
    const BlobId id{.owner = executor_.NewUuid(), .epoch = 1};
    CHECK(Run(store_->Adopt(id, 0)).ok());
    return id;
  }

  TempDir directory_;
  Executor executor_;
  std::unique_ptr<FileStore> store_;
};

TEST_F(FileSyncsTest, AttackM7AFlushSyncsTheDirectoriesThatLeadToTheBlob) {
  for (const bool by_write : {false, true}) {
    const BlobId blob = Adopted();
    if (!by_write) ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
    // A second file is a second entry, and its own.
    for (const uint64_t offset : {uint64_t{0}, 3 * kTiB}) {
      ForgetSyncs();
      ASSERT_OK(Run(store_->Write(blob, offset, Pattern(512, 1), {.data_sync = by_write})));
      if (!by_write) ASSERT_OK(Run(store_->Sync(blob)));
      EXPECT_TRUE(WasSynced(PathOf(blob))) << offset;
      EXPECT_TRUE(WasSynced(BlobsPath())) << offset;
    }
  }
}

Task<void> WriteSynced(Store& store, BlobId id, uint64_t offset, ConstSpan data, Status* status) {
  const Status done = co_await store.Write(id, offset, data, {.data_sync = true});
  *status = done;
}

// A synced write must not take a sync of the entries that has only begun for one that has ended.
TEST_F(FileSyncsTest, AttackM7ASyncedWriteWaitsForASyncOfItsEntriesThatSomebodyElseBegan) {
  const BlobId blob = Adopted(), other = Adopted();
  const Bytes data = Pattern(512, 1);
  ASSERT_OK(Run(store_->Write(other, 0, data, {.data_sync = true})));
  ASSERT_OK(Run(store_->Write(blob, 0, data, {})));
  const Status unset(Code::kInternal, "not ended");
  Status first = unset, second = unset;
  HoldSyncsOf(InodeOf(PathOf(blob)));
  Spawn(WriteSynced(*store_, blob, 0, data, &first));
  // Each of these goes the same way as the second, and nothing holds it.
  const auto go_on = [&] { EXPECT_OK(Run(store_->Write(other, 0, data, {.data_sync = true}))); };
  for (int i = 0; i < 10'000 && !IsHeld(); ++i) go_on();
  EXPECT_TRUE(IsHeld());
  Spawn(WriteSynced(*store_, blob, 4'096, data, &second));
  for (int i = 0; i < 50; ++i) go_on();
  EXPECT_EQ(first.code(), Code::kInternal);
  EXPECT_EQ(second.code(), Code::kInternal);
  HoldSyncsOf(0);
  while (first.code() == Code::kInternal || second.code() == Code::kInternal) go_on();
  EXPECT_OK(first);
  EXPECT_OK(second);
}

// The marker says that the file was made; durable without the file it would make a loss of it.
TEST_F(FileSyncsTest, AttackM7AFileIsDurableBeforeTheMarkerThatItWasMade) {
  const BlobId blob = Adopted();
  ForgetSyncs();
  ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  ASSERT_TRUE(fs::exists(PathOf(blob) / "0.made"));
  EXPECT_TRUE(WasSynced(PathOf(blob)));
}

// What another instance has written is synced whole before a length or a source is named.
TEST_F(FileSyncsTest, AttackM7WhoSyncsWhatIsNotHisSyncsTheWayToIt) {
  const BlobId blob = Adopted();
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  ASSERT_OK(Run(store_->AdoptLog(log, 0)));
  ASSERT_OK(Run(store_->Append(log, 0, Pattern(512, 1))));
  auto other = Open();
  ForgetSyncs();
  ASSERT_OK(Run(other->Sync(blob)));
  EXPECT_TRUE(WasSynced(PathOf(blob) / "0"));
  EXPECT_TRUE(WasSynced(PathOf(blob)));
  EXPECT_TRUE(WasSynced(BlobsPath()));
  ASSERT_OK(Run(other->SyncLog(log)));
  EXPECT_TRUE(WasSynced(LogsPath() / FileNameOf(log)));
  EXPECT_TRUE(WasSynced(LogsPath()));
  Close(*other);
}

TEST_F(FileSyncsTest, AttackM7ALogIsSyncedWithItsEntry) {
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  ASSERT_OK(Run(store_->AdoptLog(log, 0)));
  ASSERT_OK(Run(store_->Append(log, 0, Pattern(512, 1))));
  ForgetSyncs();
  ASSERT_OK(Run(store_->SyncLog(log)));
  EXPECT_TRUE(WasSynced(LogsPath()));
}

TEST_F(FileSyncsTest, AttackM7AChunkIsSyncedWithItsEntries) {
  const Bytes data = Pattern(1'000, 1);
  const ChunkId id = Sha256(data);
  const fs::path chunks = fs::path(path()) / kChunksDir, group = chunks / ToHex(id).substr(0, 2);
  for (int times = 0; times < 2; ++times) {  // The second finds it there, by whom nobody knows.
    ForgetSyncs();
    ASSERT_OK(Run(store_->PutChunk(id, data)));
    EXPECT_TRUE(WasSynced(group / ToHex(id)));
    EXPECT_TRUE(WasSynced(group));
    EXPECT_TRUE(WasSynced(chunks));
  }
}

TEST_F(FileSyncsTest, AttackF4ASealIsDurable) {
  if (store_->info().capabilities.seal != SealKind::kImmutableFlag) {
    GTEST_SKIP() << "this file system has no immutable flag for us";
  }
  const BlobId blob = Adopted();
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  ForgetSyncs();
  ASSERT_OK(Run(store_->Seal(blob)));
  for (const fs::path& sealed : {PathOf(blob) / "0", PathOf(blob) / "head", PathOf(blob)}) {
    EXPECT_TRUE(WasSynced(sealed)) << sealed;
  }
  EXPECT_TRUE(WasSynced(BlobsPath()));
  ASSERT_OK(Run(store_->SealLog(log)));
  EXPECT_TRUE(WasSynced(LogsPath() / FileNameOf(log)));
  EXPECT_TRUE(WasSynced(LogsPath()));
}

Task<void> SealIt(Store& store, BlobId id, Status* status) {
  const Status done = co_await store.Seal(id);
  *status = done;
}

// A file that the holder makes while the others are being sealed would be one that nobody seals.
TEST_F(FileSyncsTest, AttackF4TheHolderMakesNoFileWhileItsBlobIsBeingSealed) {
  if (store_->info().capabilities.seal != SealKind::kImmutableFlag) {
    GTEST_SKIP() << "this file system has no immutable flag for us";
  }
  const BlobId blob = Adopted();
  const Bytes data = Pattern(512, 1);
  ASSERT_OK(Run(store_->Write(blob, 0, data, {})));
  auto other = Open();
  Status sealed(Code::kInternal, "not ended");
  HoldSyncsOf(InodeOf(PathOf(blob) / "0"));
  Spawn(SealIt(*other, blob, &sealed));
  const BlobId elsewhere = Adopted();
  const auto go_on = [&] {
    EXPECT_OK(Run(store_->Write(elsewhere, 0, data, {.data_sync = true})));
  };
  for (int i = 0; i < 10'000 && !IsHeld(); ++i) go_on();
  EXPECT_TRUE(IsHeld());
  const fs::path fresh = PathOf(blob) / "9";
  EXPECT_EQ(open(fresh.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), -1);
  EXPECT_CODE(Code::kFenced, Run(store_->Write(blob, 5 * kTiB, data, {})));
  HoldSyncsOf(0);
  while (sealed.code() == Code::kInternal) go_on();
  EXPECT_OK(sealed);
  EXPECT_CODE(Code::kFenced, Run(store_->Write(blob, 5 * kTiB, data, {})));
  Close(*other);
}

// The kernel tells of a failed writeback once; the next sync would be a success that means nothing.
TEST_F(FileSyncsTest, AttackS13AFailedSyncOfADirectoryPoisonsTheBlob) {
  const BlobId blob = Adopted();
  ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  FailSyncsOf(InodeOf(BlobsPath()));
  EXPECT_CODE(Code::kIo, Run(store_->Sync(blob)));
  FailSyncsOf(0);
  EXPECT_CODE(Code::kIo, Run(store_->Sync(blob)));
  EXPECT_CODE(Code::kIo, Run(store_->Write(blob, 0, Pattern(512, 1), {})));
}

TEST_F(FileSyncsTest, AttackS13AFailedSyncPoisonsTheLog) {
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  ASSERT_OK(Run(store_->AdoptLog(log, 0)));
  ASSERT_OK(Run(store_->Append(log, 0, Pattern(512, 1))));
  FailSyncsOf(InodeOf(LogsPath()));
  EXPECT_CODE(Code::kIo, Run(store_->SyncLog(log)));
  FailSyncsOf(0);
  EXPECT_CODE(Code::kIo, Run(store_->SyncLog(log)));
  EXPECT_CODE(Code::kIo, Run(store_->Append(log, 512, Pattern(512, 1))));
}

}  // namespace
}  // namespace atl
