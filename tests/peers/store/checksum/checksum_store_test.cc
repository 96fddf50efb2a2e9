// SPDX-License-Identifier: Apache-2.0
#include "peers/store/checksum/checksum_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "peers/store/file/file_store.h"
#include "peers/store/file/layout.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

const BlobId kBlob{Uuid::FromRandom(1, 2), 1};
constexpr int64_t kQuiet = 5 * kMillisecond;

// Notes what reaches the store below, and may refuse it.
class Notes final : public ForwardingStore {
 public:
  explicit Notes(std::unique_ptr<Store> below) : ForwardingStore(std::move(below)) {}
  std::vector<std::string> calls;
  std::function<Status(const StoreCall&)> refuse;

 private:
  Task<Status> Before(const StoreCall& call) override {
    if (call.op == StoreOp::kWrite || call.op == StoreOp::kSync) {
      const bool sums = IsOfSums(std::get<BlobId>(call.target));
      calls.push_back((sums ? "sums " : "data ") + std::string(NameOf(call.op)));
    }
    co_return refuse ? refuse(call) : OkStatus();
  }
  Task<Status> After(const StoreCall&, Status outcome) override { co_return outcome; }
};

class ChecksumStoreTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override { Close(); }

  void Open(uint64_t generation = 1) {
    auto file =
        FileStore::Open(executor_, {.path = store_path(), .create = true, .reserve_bytes = 0});
    CHECK(file.ok()) << file.status().ToString();
    auto notes = std::make_unique<Notes>(*std::move(file));
    notes_ = notes.get();
    store_ = std::make_unique<ChecksumStore>(
        executor_, std::move(notes), ChecksumOptions{.generation = generation, .quiet_ns = kQuiet});
  }
  void Close() {
    if (!store_) return;
    executor_.RunUntilDone(store_->Close());
    executor_.scheduler().RunReady();
    store_.reset();
  }
  void OpenAnew(uint64_t generation = 1) {
    Close();
    Open(generation);
  }
  template <typename T>
  T Run(Task<T> task) {
    return executor_.RunUntilDone(std::move(task));
  }
  void Run(Task<void> task) { executor_.RunUntilDone(std::move(task)); }
  // Everything that was written is summed.
  void Settle() {
    AwaitSettled();
    notes_->calls.clear();
  }
  void AwaitSettled() {
    const auto wait = [this]() -> Task<void> {
      const int64_t end_ns = executor_.BootNs() + 20 * kSecond;
      while (!store_->is_settled() && executor_.BootNs() < end_ns) {
        co_await executor_.Sleep(kMillisecond);
      }
    };
    Run(wait());
    ASSERT_TRUE(store_->is_settled());
  }
  void Adopt() { EXPECT_OK(Run(store_->Adopt(kBlob, kSecond))); }
  void Write(uint64_t offset, const Bytes& data) {
    EXPECT_OK(Run(store_->Write(kBlob, offset, data, {})));
  }
  Status Read(uint64_t offset, size_t length, Bytes* out = nullptr) {
    Bytes bytes(length);
    const Status status = Run(store_->Read(kBlob, offset, bytes));
    if (out) *out = std::move(bytes);
    return status;
  }
  // Behind the store's back.
  void Flip(uint64_t offset) {
    const std::string path = store_path() + "/blobs/" + FileNameOf(kBlob) + "/0";
    const Fd fd(open(path.c_str(), O_RDWR));
    char byte = 0;
    ASSERT_EQ(pread(fd.get(), &byte, 1, static_cast<off_t>(offset)), 1);
    byte = static_cast<char>(byte ^ 4);
    ASSERT_EQ(pwrite(fd.get(), &byte, 1, static_cast<off_t>(offset)), 1);
  }
  std::string store_path() const { return folder_.path() + "/store"; }

  TempDir folder_;
  Executor executor_;
  std::unique_ptr<ChecksumStore> store_;
  Notes* notes_ = nullptr;
};

TEST_F(ChecksumStoreTest, AFlippedBitIsCorruptAndItsBytesAreNotServed) {
  Adopt();
  const Bytes data = Pattern(64 * kKiB, 1);
  Write(kSumRegion - 32 * kKiB, data);  // In two regions.
  Settle();
  const uint64_t begin = kSumRegion - 32 * kKiB;
  EXPECT_OK(Read(begin, data.size()));
  EXPECT_EQ(store_->verified(), 16u);
  Flip(begin + 5000);
  Bytes out;
  const Status status = Read(begin, data.size(), &out);
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find(kBlob.ToString()), std::string::npos) << status.ToString();
  EXPECT_EQ(Read(begin + 4096, 4096).code(), Code::kCorrupt);
  EXPECT_EQ(Read(begin + 4096, 1).code(), Code::kCorrupt) << "a part of the block";
  EXPECT_OK(Read(begin, 4096));
  EXPECT_OK(Read(begin + 8192, data.size() - 8192));
  // Overwriting it heals it, also in part: what is left of it is what is there.
  Write(begin + 4096, Pattern(4096, 2));
  EXPECT_OK(Read(begin, data.size()));
  Settle();
  EXPECT_OK(Read(begin, data.size()));
}

TEST_F(ChecksumStoreTest, WhatHasBecomeAHoleIsStillCalledDataAndIsCorrupt) {
  Adopt();
  const uint64_t begin = kSumRegion - 32 * kKiB;
  Write(begin, Pattern(64 * kKiB, 1));
  Settle();
  const std::string path = store_path() + "/blobs/" + FileNameOf(kBlob) + "/0";
  const Fd fd(open(path.c_str(), O_RDWR));
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(begin + 8192), 8192),
            0);
  ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(begin + 48 * kKiB)), 0);
  const auto extents = Run(store_->Extents(kBlob, {0, 4 * kSumRegion}));
  ASSERT_TRUE(extents.ok());
  ASSERT_EQ(extents->size(), 3u);
  EXPECT_EQ((*extents)[1].range, (ByteRange{begin, 64 * kKiB}));
  EXPECT_EQ((*extents)[1].kind, ExtentKind::kData);
  EXPECT_OK(Read(begin, 8192));
  EXPECT_EQ(Read(begin + 8192, 4096).code(), Code::kCorrupt);
  EXPECT_EQ(Read(begin + 60 * kKiB, 4096).code(), Code::kCorrupt);
}

TEST_F(ChecksumStoreTest, ReadsOfPartsGiveTheRightBytes) {
  Adopt();
  const Bytes data = Pattern(32 * kKiB, 3);
  Write(8192, data);
  Settle();
  for (const uint64_t offset : {0u, 1u, 4095u, 4096u, 5000u, 12'287u}) {
    for (const size_t length : {1u, 511u, 4096u, 9000u}) {
      Bytes out;
      EXPECT_OK(Read(8192 + offset, length, &out));
      EXPECT_TRUE(
          std::equal(out.begin(), out.end(), data.begin() + static_cast<ptrdiff_t>(offset)));
    }
  }
  EXPECT_GT(store_->verified(), 24u);
}

TEST_F(ChecksumStoreTest, AChangeIsSubmittedWhenItIsDurableThatTheSumsMeanNothing) {
  Adopt();
  notes_->calls.clear();
  Write(0, Pattern(8192, 1));
  EXPECT_EQ(notes_->calls, std::vector<std::string>{"data write"}) << "there were none";
  Settle();
  Write(4096, Pattern(4096, 2));
  Write(0, Pattern(4096, 3));
  EXPECT_EQ(notes_->calls, (std::vector<std::string>{"sums write", "data write", "data write"}));
  Settle();
  EXPECT_OK(Run(store_->Zero(kBlob, {0, 4096}, {})));
  EXPECT_OK(Run(store_->Punch(kBlob, {4096, 4096})));
  EXPECT_EQ(notes_->calls, std::vector<std::string>{"sums write"});
  EXPECT_OK(Read(0, 8192));
  Settle();
  EXPECT_OK(Read(0, 8192));
}

TEST_F(ChecksumStoreTest, DamageIsNotSummedAsIfItWereRightWhenSomethingElseIsChanged) {
  Adopt();
  Write(0, Pattern(64 * kKiB, 1));
  Settle();
  Flip(20'000);
  Write(0, Pattern(4096, 2));
  Settle();
  EXPECT_OK(Read(0, 16 * kKiB));
  EXPECT_EQ(Read(16 * kKiB, 4096).code(), Code::kCorrupt);
  EXPECT_OK(Read(20 * kKiB, 44 * kKiB));
}

TEST_F(ChecksumStoreTest, ALargeChangeMakesAllItsRegionsDirtyAtOnce) {
  Adopt();
  for (uint64_t region = 0; region < 70; ++region) Write(region * kSumRegion, Pattern(4096, 1));
  Settle();
  EXPECT_OK(Run(store_->Punch(kBlob, {4096, 100 * kSumRegion})));
  EXPECT_EQ(notes_->calls, std::vector<std::string>{"sums sync"});
  for (uint64_t region = 1; region < 70; ++region) EXPECT_OK(Read(region * kSumRegion, 4096));
  EXPECT_OK(Read(0, 8192));
  OpenAnew();
  for (uint64_t region = 0; region < 70; ++region) EXPECT_OK(Read(region * kSumRegion, 4096));
}

TEST_F(ChecksumStoreTest, WhereThatCannotBeSaidNothingIsChanged) {
  Adopt();
  Write(0, Pattern(8192, 1));
  Settle();
  notes_->refuse = [](const StoreCall& call) {
    const auto* const blob = std::get_if<BlobId>(&call.target);
    const bool sums = blob != nullptr && IsOfSums(*blob) && call.op == StoreOp::kWrite;
    return sums ? Status(Code::kIo, "refused") : OkStatus();
  };
  EXPECT_EQ(Run(store_->Write(kBlob, 0, Pattern(4096, 2), {})).code(), Code::kIo);
  EXPECT_EQ(notes_->calls, std::vector<std::string>{"sums write"});
  // Nor when it is tried again.
  notes_->calls.clear();
  EXPECT_EQ(Run(store_->Write(kBlob, 0, Pattern(4096, 2), {})).code(), Code::kIo);
  EXPECT_EQ(notes_->calls, std::vector<std::string>{"sums write"});
  notes_->refuse = nullptr;
  Bytes out;
  EXPECT_OK(Read(0, 8192, &out));
  EXPECT_EQ(out, Pattern(8192, 1));
  Write(0, Pattern(4096, 2));
  EXPECT_OK(Read(0, 8192));
}

TEST_F(ChecksumStoreTest, SumsAreOfWhatIsSynced) {
  Adopt();
  Write(0, Pattern(8192, 1));
  notes_->calls.clear();
  AwaitSettled();
  EXPECT_EQ(notes_->calls, (std::vector<std::string>{"data sync", "sums write"}));
}

TEST_F(ChecksumStoreTest, WhatIsGivenUpIsSummedAndOthersSeeIt) {
  Adopt();
  Write(0, Pattern(64 * kKiB, 1));
  Write(3 * kSumRegion, Pattern(64 * kKiB, 2));
  Run(store_->Disown(kBlob));
  Settle();
  OpenAnew();
  EXPECT_OK(Read(0, 64 * kKiB));
  EXPECT_OK(Read(3 * kSumRegion, 64 * kKiB));
  EXPECT_EQ(store_->verified(), 32u);
  Flip(3 * kSumRegion + 1);
  EXPECT_EQ(Read(3 * kSumRegion, 64 * kKiB).code(), Code::kCorrupt);
}

TEST_F(ChecksumStoreTest, WhatADeadProcessLeftDirtyIsSummedByASweep) {
  Adopt();
  Write(0, Pattern(64 * kKiB, 1));
  OpenAnew();  // It closes without summing.
  EXPECT_OK(Read(0, 64 * kKiB));
  EXPECT_EQ(store_->verified(), 0u);
  EXPECT_OK(Run(store_->Sweep(false)).status());
  Settle();
  EXPECT_OK(Read(0, 64 * kKiB));
  EXPECT_EQ(store_->verified(), 16u);
}

TEST_F(ChecksumStoreTest, WhoAdoptsWhatIsBeingSummedDoesNotWaitForItsEnd) {
  Adopt();
  for (int i = 0; i < 64; ++i) Write(static_cast<uint64_t>(i) * kSumRegion, Pattern(64 * kKiB, 1));
  Run(store_->Disown(kBlob));
  Adopt();
  Write(0, Pattern(64 * kKiB, 2));
  EXPECT_OK(Read(0, 64 * kKiB));
  Settle();
  EXPECT_OK(Read(0, 64 * kKiB));
  EXPECT_EQ(store_->verified(), 16u);
}

TEST_F(ChecksumStoreTest, SumsOfAnotherGenerationAreVoid) {
  Adopt();
  Write(0, Pattern(8192, 1));
  Settle();
  OpenAnew(2);
  Flip(100);
  EXPECT_OK(Read(0, 8192));
  EXPECT_EQ(store_->verified(), 0u);
}

TEST_F(ChecksumStoreTest, DamageIsNotCopied) {
  const BlobId to{kBlob.owner, 2};
  Adopt();
  Write(0, Pattern(64 * kKiB, 1));
  Settle();
  EXPECT_OK(Run(store_->Adopt(to, kSecond)));
  EXPECT_OK(Run(store_->Copy(kBlob, to, {0, 64 * kKiB})));
  Flip(20'000);
  EXPECT_EQ(Run(store_->Copy(kBlob, to, {0, 64 * kKiB})).code(), Code::kCorrupt);
}

TEST_F(ChecksumStoreTest, SumsGoWithTheirBlobAndAreNotListed) {
  Adopt();
  Write(0, Pattern(8192, 1));
  Settle();
  const auto count = [this] {
    const std::filesystem::directory_iterator blobs(store_path() + "/blobs");
    return std::distance(begin(blobs), end(blobs));
  };
  EXPECT_EQ(count(), 2);
  const auto page = Run(store_->ListBlobs(std::nullopt, 10));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->items, std::vector<BlobId>{kBlob});
  EXPECT_TRUE(page->last);
  EXPECT_OK(Run(store_->Remove(kBlob)));
  EXPECT_EQ(count(), 0);
}

TEST_F(ChecksumStoreTest, SumsWhoseBlobIsGoneAreListedAndCanBeRemoved) {
  EXPECT_OK(Run(store_->Adopt(SumsOf(kBlob), kSecond)));
  const auto page = Run(store_->ListBlobs(std::nullopt, 10));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->items, std::vector<BlobId>{SumsOf(kBlob)});
  EXPECT_OK(Run(store_->Remove(SumsOf(kBlob))));
  EXPECT_TRUE(Run(store_->ListBlobs(std::nullopt, 10))->items.empty());
}

}  // namespace
}  // namespace atl
