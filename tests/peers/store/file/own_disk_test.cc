// SPDX-License-Identifier: Apache-2.0
//
// The file driver on a disk of its own, ext4 in a file: full, or with its cache lost as by power,
// for which it is told to shut down without writing anything back; until it is mounted again it
// refuses everything.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "peers/store/file/file_store.h"
#include "peers/store/sha256.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

// Linux has no header of them that a program may include beside its own.
constexpr unsigned long kExt4Shutdown = _IOR('X', 125, uint32_t);
constexpr uint32_t kWithoutTheLog = 2;

bool Shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class OwnDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(mounted());
    const std::string make = "mkfs.ext4 -q -F -b 1024 -m 0 ";
    if (!Shell("truncate -s 32M " + image() + " && " + make + image()) || !Mount()) {
      GTEST_SKIP() << "no right, or no program, to make and mount a file system";
    }
    Open({});
  }
  void TearDown() override {
    Close();
    umount2(mounted().c_str(), MNT_DETACH);
  }
  bool Mount() { return Shell("mount -o loop " + image() + " " + mounted()); }
  void Open(FileStoreOptions options) {
    options.path = mounted() + "/store";
    options.create = true;
    if (options.reserve_bytes == SpaceReserve::kDefaultBytes) options.reserve_bytes = 0;
    auto store = FileStore::Open(executor_, options);
    CHECK(store.ok()) << store.status().ToString();
    store_ = *std::move(store);
  }
  void Close() {
    if (!store_) return;
    executor_.RunUntilDone(store_->Close());
    executor_.scheduler().RunReady();
    store_.reset();
  }
  // The cache is gone, and the disk answers nothing any more.
  void ShutDown() {
    const Fd top(open(mounted().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(ioctl(top.get(), kExt4Shutdown, &kWithoutTheLog), 0);
  }
  void LosePower() {
    ShutDown();
    Close();
    ASSERT_EQ(umount(mounted().c_str()), 0);
    ASSERT_TRUE(Mount());
    Open({});
  }
  template <typename T>
  T Run(Task<T> task) {
    T result = executor_.RunUntilDone(std::move(task));
    executor_.scheduler().RunReady();
    return result;
  }
  BlobId Adopted() {
    const BlobId id{.owner = executor_.NewUuid(), .epoch = 1};
    CHECK(Run(store_->Adopt(id, 0)).ok());
    return id;
  }
  Bytes ReadBack(const BlobId& id, uint64_t offset, size_t count) {
    Bytes out(count);
    EXPECT_OK(Run(store_->Read(id, offset, out)));
    return out;
  }
  // It answers with the failure that was, and not with what the disk says now.
  void ExpectPoisoned(const BlobId& blob) {
    const Status status = Run(store_->Write(blob, 0, Pattern(512, 2), {}));
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_NE(status.message().find("after a failed sync"), std::string_view::npos)
        << status.message();
  }
  std::string image() const { return directory_.path() + "/image"; }
  std::string mounted() const { return directory_.path() + "/mounted"; }

  TempDir directory_;
  Executor executor_;
  std::unique_ptr<FileStore> store_;
};

TEST_F(OwnDiskTest, AttackM7PowerLossTakesNothingOfABlobThatWasFlushed) {
  const BlobId flushed = Adopted(), synced = Adopted();
  const Bytes data = Pattern(100'000, 1);
  ASSERT_OK(Run(store_->Write(flushed, 0, data, {})));
  ASSERT_OK(Run(store_->Write(flushed, 2 * kTiB + 777, data, {})));
  ASSERT_OK(Run(store_->Sync(flushed)));
  ASSERT_OK(Run(store_->Write(synced, 0, data, {.data_sync = true})));
  ASSERT_OK(Run(store_->Write(synced, kTiB, data, {.data_sync = true})));
  LosePower();
  EXPECT_EQ(ReadBack(flushed, 0, data.size()), data);
  EXPECT_EQ(ReadBack(flushed, 2 * kTiB + 777, data.size()), data);
  EXPECT_EQ(ReadBack(synced, 0, data.size()), data);
  EXPECT_EQ(ReadBack(synced, kTiB, data.size()), data);
}

// The holder died unsynced; its successor flushes what it finds.
TEST_F(OwnDiskTest, AttackM7AFlushCoversWhatAnEarlierInstanceWrote) {
  const BlobId blob = Adopted();
  const Bytes data = Pattern(100'000, 1);
  ASSERT_OK(Run(store_->Write(blob, 0, data, {})));
  Close();
  Open({});
  ASSERT_OK(Run(store_->Adopt(blob, 0)));
  ASSERT_OK(Run(store_->Sync(blob)));
  LosePower();
  EXPECT_EQ(ReadBack(blob, 0, data.size()), data);
}

TEST_F(OwnDiskTest, AttackM7PowerLossTakesNothingOfALogThatWasSynced) {
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  const Bytes data = Pattern(10'000, 1);
  ASSERT_OK(Run(store_->AdoptLog(log, 0)));
  ASSERT_OK(Run(store_->Append(log, 0, data)));
  ASSERT_OK(Run(store_->SyncLog(log)));
  LosePower();
  Bytes now(data.size());
  EXPECT_EQ(*Run(store_->ReadLog(log, 0, now)), data.size());
  EXPECT_EQ(now, data);
}

// Names nobody has written to yet are promised too: a header that names them says so.
TEST_F(OwnDiskTest, AttackF13PowerLossTakesNeitherAnEmptyBlobNorAnEmptyLogThatWasSynced) {
  const BlobId blob = Adopted(), again = Adopted();
  const LogId log = LogId::Journal(executor_.NewUuid(), 1, 1);
  ASSERT_OK(Run(store_->AdoptLog(log, 0)));
  ASSERT_OK(Run(store_->Sync(blob)));
  ASSERT_OK(Run(store_->SyncLog(log)));
  Close();
  Open({});
  ASSERT_OK(Run(store_->Adopt(again, 0)));
  ASSERT_OK(Run(store_->Sync(again)));
  LosePower();
  EXPECT_TRUE(Run(store_->Usage(blob)).ok());
  EXPECT_TRUE(Run(store_->Usage(again)).ok()) << "made by an earlier instance";
  EXPECT_TRUE(Run(store_->LogUsage(log)).ok());
}

TEST_F(OwnDiskTest, AttackR2PowerLossTakesNeitherRecordsNorTheirRemovalNorChunks) {
  const RecordKey kept = RecordKey::Of(RecordKind::kHeader, executor_.NewUuid());
  const RecordKey removed = RecordKey::Of(RecordKind::kHeader, executor_.NewUuid());
  const Bytes data = Pattern(5'000, 1);
  for (const RecordKey& key : {kept, removed}) {
    ASSERT_TRUE(Run(store_->SwapRecord(key, 0, data, executor_.NewUuid())).ok());
  }
  const uint64_t version = Run(store_->GetRecord(removed, ReadFor::kLook))->version;
  ASSERT_OK(Run(store_->RemoveRecord(removed, version, executor_.NewUuid())));
  ASSERT_OK(Run(store_->PutChunk(Sha256(data), data)));
  LosePower();
  EXPECT_EQ(Run(store_->GetRecord(kept, ReadFor::kAct))->payload, data);
  EXPECT_CODE(Code::kNotFound, Run(store_->GetRecord(removed, ReadFor::kAct)));
  EXPECT_EQ(*Run(store_->GetChunk(Sha256(data))), data);
}

// Once the disk has refused what was to be durable, nothing is promised for the blob any more,
// whatever it answers later; the poison says of what it comes.
TEST_F(OwnDiskTest, AttackS13WhatTheDiskRefusedPoisonsTheBlob) {
  const BlobId by_sync = Adopted(), by_write = Adopted();
  for (const BlobId& blob : {by_sync, by_write}) {
    ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  }
  ShutDown();
  EXPECT_CODE(Code::kIo, Run(store_->Sync(by_sync)));
  EXPECT_CODE(Code::kIo, Run(store_->Write(by_write, 0, Pattern(512, 2), {.data_sync = true})));
  ExpectPoisoned(by_sync);
  ExpectPoisoned(by_write);
}

// A file that is synced and closed to make room for another one is nobody's flush.
TEST_F(OwnDiskTest, AttackS13ASyncToMakeRoomThatFailsPoisonsTheBlob) {
  Close();
  Open({.max_open_files = 1});
  const BlobId blob = Adopted();
  ASSERT_OK(Run(store_->Write(blob, 0, Pattern(512, 1), {})));
  ShutDown();
  EXPECT_FALSE(Run(store_->Write(blob, kTiB, Pattern(512, 2), {})).ok());
  ExpectPoisoned(blob);
}

// --- A full disk ---------------------------------------------------------------------------------

// New journals and new epochs are new names in directories, which need blocks of their own.
TEST_F(OwnDiskTest, AttackS14AFullDiskStillTakesNewLogsAndNewBlobsAndNoData) {
  Close();
  Open({.reserve_bytes = 6 * kMiB});
  const BlobId blob = Adopted();
  uint64_t offset = 0;
  const auto fill = [&] {
    Status status;
    const Bytes data = Pattern(kKiB, 1);
    for (; status.ok(); offset += data.size()) status = Run(store_->Write(blob, offset, data, {}));
    ASSERT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  };
  fill();
  const Uuid owner = executor_.NewUuid();
  for (uint32_t generation = 1; generation <= 64; ++generation) {
    ASSERT_OK(Run(store_->AdoptLog(LogId::Journal(owner, 1, generation), 0)));
  }
  fill();
  for (uint32_t epoch = 1; epoch <= 64; ++epoch) {
    ASSERT_OK(Run(store_->Adopt({.owner = owner, .epoch = epoch}, 0)));
  }
  fill();
  EXPECT_CODE(Code::kNoSpace, Run(store_->Write({.owner = owner, .epoch = 1}, 0, Bytes(kMiB), {})));
}

}  // namespace
}  // namespace atl
