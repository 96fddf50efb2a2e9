// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/blob_reader.h"

#include <algorithm>

#include "tests/peers/store/file/file_store_fixture.h"

namespace atl {
namespace {

class BlobReaderTest : public FileStoreTest {
 protected:
  void SetUp() override {
    store_ = Open();
    blob_ = NewBlob();
    ASSERT_TRUE(Run(store_->Adopt(blob_, 0)).ok());
    Write(0, data_);
    reader_ = OpenReader(store_->folder());
  }
  void TearDown() override {
    Run(reader_->Close());
    Close(*store_);
  }
  std::unique_ptr<BlobReader> OpenReader(const BlobFolder& folder) {
    auto reader = BlobReader::Open(executor, path(), folder);
    CHECK(reader.ok()) << reader.status().ToString();
    return *std::move(reader);
  }
  void Write(uint64_t offset, ConstSpan bytes) {
    EXPECT_TRUE(Run(store_->Write(blob_, offset, bytes, {})).ok());
  }
  // Wants the file, and lets it be opened.
  bool Read(uint64_t offset, MutSpan out) {
    if (reader_->TryRead(blob_, offset, out)) return true;
    Rest(20 * kMillisecond);
    return reader_->TryRead(blob_, offset, out);
  }

  Bytes data_ = Pattern(100'000, 1);
  std::unique_ptr<FileStore> store_;
  BlobId blob_;
  std::unique_ptr<BlobReader> reader_;
};

TEST_F(BlobReaderTest, ReadsWhatTheStoreHasWrittenAndGoesOnWriting) {
  Bytes out(data_.size());
  EXPECT_FALSE(reader_->TryRead(blob_, 0, out)) << "opened within a call that must not wait";
  ASSERT_TRUE(Read(0, out));
  EXPECT_EQ(out, data_);
  for (int i = 0; i < 100; ++i) {
    const Bytes fresh = Pattern(5'000, 2 + i);
    Write(700 * i, fresh);
    Bytes back(fresh.size());
    ASSERT_TRUE(reader_->TryRead(blob_, 700 * i, back));
    EXPECT_EQ(back, fresh);
  }
  EXPECT_EQ(reader_->open_files(), 1u);
}

TEST_F(BlobReaderTest, SeesWhatIsZeroed) {
  Bytes out(4'096);
  ASSERT_TRUE(Read(8'192, out));
  ASSERT_TRUE(Run(store_->Zero(blob_, {8'192, 4'096}, {})).ok());
  // What is not in the cache any more may be refused; it is never what was there.
  std::ranges::fill(out, std::byte{0xEE});
  if (reader_->TryRead(blob_, 8'192, out)) EXPECT_EQ(out, Bytes(4'096));
}

TEST_F(BlobReaderTest, RefusesWhatTheFileDoesNotHave) {
  Bytes out(4'096);
  ASSERT_TRUE(Read(0, out));
  EXPECT_FALSE(Read(data_.size() - 4'095, out)) << "half of it lies behind the end";
  EXPECT_FALSE(Read(kBlobFileBytes - 4'096, out));
  EXPECT_FALSE(Read(kBlobFileBytes + 4'096, out)) << "a file that was never made";
  EXPECT_FALSE(reader_->TryRead(NewBlob(), 0, out));
  Rest(20 * kMillisecond);
  EXPECT_EQ(reader_->open_files(), 1u);
}

TEST_F(BlobReaderTest, GivesUpWhatIsRemoved) {
  Bytes out(4'096);
  ASSERT_TRUE(Read(0, out));
  reader_->Forget(blob_);
  EXPECT_EQ(reader_->open_files(), 0u);
  ASSERT_TRUE(Read(0, out));
  ASSERT_TRUE(Run(store_->Remove(blob_)).ok());
  reader_->CloseRemoved();
  EXPECT_EQ(reader_->open_files(), 0u);
  EXPECT_FALSE(Read(0, out));
}

TEST_F(BlobReaderTest, ReadsNoOtherFolderThanTheStores) {
  const BlobFolder folder = store_->folder();
  ASSERT_FALSE(folder.is_none());
  const BlobFolder other{.device = folder.device, .inode = folder.inode + 1};
  EXPECT_EQ(BlobReader::Open(executor, path(), other).code(), Code::kStale);
  EXPECT_EQ(BlobReader::Open(executor, path(), {}).code(), Code::kStale);
  EXPECT_EQ(BlobReader::Open(executor, directory.path() + "/none", folder).code(), Code::kNotFound);
}

TEST_F(BlobReaderTest, IsNotForStoresWhoseReadsMustBeSeen) {
  for (const FileStoreOptions& options :
       {FileStoreOptions{.path = directory.path() + "/sums", .sums = true},
        FileStoreOptions{.path = directory.path() + "/direct", .direct = true},
        FileStoreOptions{.path = directory.path() + "/memory", .in_memory = true}}) {
    const auto store = Open(options);
    EXPECT_TRUE(store->folder().is_none()) << options.path;
    Close(*store);
  }
}

}  // namespace
}  // namespace atl
