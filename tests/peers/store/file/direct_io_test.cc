// SPDX-License-Identifier: Apache-2.0
//
// That a direct store does what every store does is the contract's; here: that it is direct, and
// what that costs where requests do not fit its blocks.
#include "peers/store/file/direct_io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "tests/peers/store/file/file_store_fixture.h"

namespace atl {
namespace {

class DirectIoTest : public FileStoreTest {
 protected:
  void SetUp() override {
    store_ = Open({.direct = true});
    ASSERT_TRUE(Run(store_->Adopt(blob_, 0)).ok());
  }
  void TearDown() override { Close(*store_); }
  void Write(uint64_t offset, ConstSpan bytes, WriteOptions options = {}) {
    const Status status = Run(store_->Write(blob_, offset, bytes, options));
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  Bytes Read(uint64_t offset, size_t length) {
    Bytes out(length, std::byte{0xEE});
    const Status status = Run(store_->Read(blob_, offset, out));
    EXPECT_TRUE(status.ok()) << status.ToString();
    return out;
  }
  // How many pages of the blob's first file are in the page cache.
  size_t Cached() const {
    const Fd fd(open((BlobPath(blob_) / "0").c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info;
    CHECK(fd.valid() && fstat(fd.get(), &info) == 0);
    const auto bytes = static_cast<size_t>(info.st_size);
    void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
    CHECK(mapped != MAP_FAILED);
    std::vector<unsigned char> pages((bytes + 4'095) / 4'096);
    CHECK(mincore(mapped, bytes, pages.data()) == 0);
    munmap(mapped, bytes);
    return static_cast<size_t>(std::ranges::count_if(pages, [](auto page) { return page & 1; }));
  }

  const BlobId blob_ = NewBlob();
  std::unique_ptr<FileStore> store_;
};

TEST_F(DirectIoTest, LeavesNothingInThePageCache) {
  const Bytes data = Pattern(kMiB, 1);
  Write(0, data);
  Write(12'345, ConstSpan(data).subspan(12'345, 54'321));
  EXPECT_EQ(Read(0, data.size()), data);
  EXPECT_EQ(Read(777, 100'000), Bytes(data.begin() + 777, data.begin() + 100'777));
  EXPECT_EQ(Cached(), 0u);
  EXPECT_FALSE(store_->TryWrite(blob_, 0, data));
  Bytes out(4'096);
  EXPECT_FALSE(store_->TryRead(blob_, 0, out));
  EXPECT_TRUE(store_->TryView(blob_, 0, 4'096).empty());
}

TEST_F(DirectIoTest, AnySizeAnywhereIsWhatWasWritten) {
  std::mt19937_64 random(TestSeed(3));
  Bytes model(2 * kMiB);
  Write(0, model);
  for (int i = 0; i < 300; ++i) {
    const size_t at = random() % model.size();
    const size_t most = i % 10 == 0 ? 900'000 : 10'000;
    const size_t length = 1 + random() % std::min(model.size() - at, most);
    const Bytes data = Pattern(length, i);
    Write(at, data, {.data_sync = i % 7 == 0});
    std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(at));
    const size_t from = random() % model.size();
    const size_t some = 1 + random() % (model.size() - from);
    ASSERT_EQ(Read(from, some), Bytes(model.begin() + static_cast<ptrdiff_t>(from),
                                      model.begin() + static_cast<ptrdiff_t>(from + some)));
  }
}

// Each writes a part of the same blocks: none of them is lost.
TEST_F(DirectIoTest, PartsOfOneBlockThatAreWrittenAtOnceAreAllThere) {
  constexpr size_t kParts = 64, kPart = 1'000;
  const Bytes model = Pattern(kParts * kPart, 5);
  const auto one = [&](size_t i) -> Task<void> {
    const ConstSpan part = ConstSpan(model).subspan(i * kPart, kPart);
    EXPECT_TRUE((co_await store_->Write(blob_, i * kPart, part, {})).ok());
  };
  const auto all = [&]() -> Task<void> {
    TaskGroup group;
    for (size_t i = 0; i < kParts; ++i) group.Run(one(i));
    co_await group.Join();
  };
  Run(all());
  EXPECT_EQ(Read(0, model.size()), model);
}

TEST_F(DirectIoTest, BehindTheEndThereAreZeros) {
  Write(5'000, Pattern(100, 6));
  Bytes expected(20'000);
  const Bytes data = Pattern(100, 6);
  std::copy(data.begin(), data.end(), expected.begin() + 5'000);
  EXPECT_EQ(Read(0, 20'000), expected);
}

TEST_F(DirectIoTest, TakesOverWhatLiesInThePageCache) {
  Close(*store_);
  store_ = Open();
  ASSERT_TRUE(Run(store_->Adopt(blob_, 0)).ok());
  const Bytes data = Pattern(100'001, 7);
  Write(3, data);
  Close(*store_);
  store_ = Open({.direct = true});
  ASSERT_TRUE(Run(store_->Adopt(blob_, 0)).ok());
  EXPECT_EQ(Read(3, data.size()), data);
  const Bytes other = Pattern(8'192, 8);
  Write(4'096, other);
  EXPECT_EQ(Read(4'096, other.size()), other);
  EXPECT_EQ(Read(3, 4'093), Bytes(data.begin(), data.begin() + 4'093));
}

}  // namespace
}  // namespace atl
