// SPDX-License-Identifier: Apache-2.0
//
// The file driver on a small file system of its own: full, mounted again, without what it would
// need.
#include <sys/mount.h>

#include "tests/peers/store/file/file_store_fixture.h"

namespace atl {
namespace {

// A small file system of its own.
class FullDiskTest : public FileStoreTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(path());
    mounted_ = mount("none", path().c_str(), "tmpfs", 0, "size=8M") == 0;
    if (!mounted_) GTEST_SKIP() << "no right to mount a small file system";
  }
  void TearDown() override {
    if (mounted_) umount2(path().c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(FullDiskTest, AttackS14AFullStoreStillTakesLogsRecordsAndRemovalsAndNoData) {
  auto store = Open({.reserve_bytes = 3 * kMiB});
  const BlobId blob = NewBlob();
  const LogId log = LogId::Journal(executor.NewUuid(), 1, 1);
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->AdoptLog(log, 0)));
  Status status;
  const Bytes data = Pattern(16 * kKiB, 1);
  uint64_t offset = 0;
  for (; status.ok(); offset += data.size()) status = Run(store->Write(blob, offset, data, {}));
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  EXPECT_GE(offset, 4 * kMiB);
  EXPECT_OK(Run(store->Reserve(log, 256 * kKiB)));
  EXPECT_OK(Run(store->Append(log, 0, Pattern(512 * kKiB, 2))));
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, executor.NewUuid());
  const auto made = Run(store->SwapRecord(key, 0, Pattern(9'000, 3), executor.NewUuid()));
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_OK(Run(store->RemoveRecord(key, *made, executor.NewUuid())));
  EXPECT_OK(Run(store->Remove(blob)));
  EXPECT_GE(Run(store->GetCapacity())->reserve_bytes, 2 * kMiB);
  Close(*store);
}

// What one call took from the reserve and did not use must not hide that the next one takes none.
TEST_F(FullDiskTest, AttackS14EveryCallOfARemovalTakesFromTheReserveByItself) {
  auto store = Open({.reserve_bytes = 6 * kMiB});
  const BlobId blob = NewBlob();
  const LogId log = LogId::Journal(executor.NewUuid(), 1, 1);
  const RecordKey key = RecordKey::Of(RecordKind::kHeader, executor.NewUuid());
  ASSERT_OK(Run(store->Adopt(blob, 0)));
  ASSERT_OK(Run(store->AdoptLog(log, 0)));
  uint64_t offset = 0;
  const auto fill = [&] {
    Status status;
    const Bytes data = Pattern(4 * kKiB, 1);
    for (; status.ok(); offset += data.size()) status = Run(store->Write(blob, offset, data, {}));
    ASSERT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  };
  fill();
  EXPECT_OK(Run(store->Reserve(log, 256 * kKiB)));
  fill();
  EXPECT_OK(Run(store->Append(log, 0, Pattern(512 * kKiB, 2))));
  fill();
  EXPECT_TRUE(Run(store->SwapRecord(key, 0, Pattern(9'000, 3), executor.NewUuid())).ok());
  fill();
  EXPECT_TRUE(Run(store->SwapRecord(key, 1, Pattern(9'000, 4), executor.NewUuid())).ok());
  fill();
  EXPECT_OK(Run(store->RemoveRecord(key, 2, executor.NewUuid())));
  Close(*store);
}

// A mount identity that comes back would prove a cache that was lost.
TEST_F(FullDiskTest, AttackR11AnotherMountIsAnotherCache) {
  const CacheIdentity first = Open({.reserve_bytes = 4'096})->info().cache;
  const CacheIdentity same = Open({.reserve_bytes = 4'096})->info().cache;
  ASSERT_EQ(umount2(path().c_str(), MNT_DETACH), 0);
  ASSERT_EQ(mount("none", path().c_str(), "tmpfs", 0, "size=8M"), 0);
  const CacheIdentity second = Open({.reserve_bytes = 4'096})->info().cache;
  if (!first.trusted) GTEST_SKIP() << "this kernel has no unique mount identity";
  EXPECT_TRUE(same.Proves(first));
  EXPECT_FALSE(second.Proves(first));
}

// What is not known to be this host's alone may have been written, or lost, by another one.
TEST_F(FullDiskTest, AttackR11AFileSystemOfUnknownSortProvesNothing) {
  ASSERT_EQ(umount2(path().c_str(), MNT_DETACH), 0);
  if (mount("none", path().c_str(), "ramfs", 0, nullptr) != 0) {
    mounted_ = false;
    GTEST_SKIP() << "no file system that the driver does not know";
  }
  auto store = Open();
  const CacheIdentity cache = store->info().cache;
  EXPECT_FALSE(cache.trusted);
  EXPECT_FALSE(cache.Proves(cache));
  EXPECT_FALSE(store->info().capabilities.proves_death);
  EXPECT_EQ(store->info().capabilities.seal, SealKind::kNone);
  Close(*store);
}

TEST_F(FullDiskTest, AFileSystemWithoutTheFlagCannotSeal) {
  auto store = Open({.reserve_bytes = 4'096});
  EXPECT_EQ(store->info().capabilities.seal, SealKind::kNone);
  EXPECT_CODE(Code::kUnsupported, Run(store->Seal(NewBlob())));
  Close(*store);
}

}  // namespace
}  // namespace atl
