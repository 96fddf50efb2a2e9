// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_view.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/file/file_store_fixture.h"

namespace atl {
namespace {

constexpr size_t kBytes = 5 * kMiB;

// On the disk that tests use: in memory nothing is ever cold.
class FileViewTest : public testing::Test {
 protected:
  FileViewTest() : file_(open(Path().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    CHECK(file_.valid() && data_.size() == kBytes);
    CHECK(pwrite(file_.get(), data_.data(), kBytes, 0) == static_cast<ssize_t>(kBytes));
    CHECK(fsync(file_.get()) == 0);
  }
  std::string Path() const { return directory_.path() + "/file"; }
  // Out of the page cache. What is mapped stays there, so nobody has a view yet.
  void Forget() { CHECK(posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED) == 0); }

  // Also long ones, which are not given at first.
  static ConstSpan GetAgain(FileView& view, uint64_t offset, size_t length) {
    for (int i = 0; i < 3; ++i) (void)view.Get(offset, length);
    return view.Get(offset, length);
  }
  static ssize_t Touch(ConstSpan view) {
    const Fd sink(memfd_create("sink", MFD_CLOEXEC));
    return pwrite(sink.get(), view.data(), view.size(), 0);
  }

  TempDir directory_;
  Bytes data_ = Pattern(kBytes, 1);
  Fd file_;
  ViewBudget budget_;
};

TEST_F(FileViewTest, GivesWhatIsInThePageCache) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  for (const ByteRange range : {ByteRange{0, 1}, {4'095, 2}, {2 * kMiB - 1, 2}, {0, kBytes}}) {
    const ConstSpan bytes = GetAgain(*view, range.offset, range.length);
    ASSERT_EQ(bytes.size(), range.length);
    EXPECT_TRUE(std::ranges::equal(bytes, ConstSpan(data_).subspan(range.offset, range.length)));
  }
}

TEST_F(FileViewTest, GivesLongRangesOnceTheyWereReadAsAWhole) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  for (uint64_t at = 0; at < 4 * kMiB; at += kMiB) {
    EXPECT_TRUE(view->Get(at, kMiB).empty()) << at;
    EXPECT_EQ(view->Get(at, 16 * kKiB).size(), 16 * kKiB) << "a short one";
  }
  for (uint64_t at = 0; at < 4 * kMiB; at += kMiB) EXPECT_EQ(view->Get(at, kMiB).size(), kMiB);
  EXPECT_EQ(view->Get(kMiB, 2 * kMiB).size(), 2 * kMiB);
  EXPECT_TRUE(view->Get(3 * kMiB, 2 * kMiB).empty());
}

TEST_F(FileViewTest, CopiesWhatItWouldGive) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  Bytes out(4'096);
  EXPECT_TRUE(view->Copy(kMiB + 1, out));
  EXPECT_TRUE(std::ranges::equal(out, ConstSpan(data_).subspan(kMiB + 1, out.size())));
  ASSERT_EQ(ftruncate(file_.get(), kMiB), 0);
  EXPECT_FALSE(view->Copy(kMiB + 1, out)) << "it was there a moment ago";
}

// What is not there any more shows whether the kernel was asked.
TEST_F(FileViewTest, AsksAgainOnlyIfThePageCacheHasGivenAnythingUp) {
  const auto longer = std::chrono::milliseconds(PageCacheWatch::kAskMs + 200);
  const std::string counters = directory_.path() + "/vmstat";
  const auto say = [&](int count) {
    std::ofstream(counters) << "pgsteal_file " << count << "\ndrop_pagecache 0\n";
  };
  say(0);
  budget_.watch = PageCacheWatch(counters);
  const auto early = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(early);
  EXPECT_FALSE(early->Get(0, 4096).empty());
  std::this_thread::sleep_for(longer);
  // From here on it is watched.
  EXPECT_FALSE(early->Get(0, 4096).empty());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto view = FileView::Make(file_.get(), &budget_);
  EXPECT_FALSE(view->Get(0, 4096).empty());
  Forget();
  std::this_thread::sleep_for(longer);
  EXPECT_FALSE(view->Get(0, 4096).empty()) << "it was asked, though nothing was given up";
  say(1);
  std::this_thread::sleep_for(longer);
  EXPECT_TRUE(view->Get(0, 4096).empty()) << "it is believed, though something was given up";
}

TEST_F(FileViewTest, FollowsTheFile) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  const Bytes other = Pattern(10'000, 2);
  ASSERT_EQ(pwrite(file_.get(), other.data(), other.size(), 77), 10'000);
  EXPECT_TRUE(std::ranges::equal(GetAgain(*view, 77, other.size()), other));
}

TEST_F(FileViewTest, GivesNothingThatWouldHaveToBeReadFromTheDisk) {
  Forget();
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->Get(0, 4'096).empty());
  EXPECT_TRUE(view->Get(3 * kMiB, kMiB).empty());
}

TEST_F(FileViewTest, GivesWhatWasReadMeanwhile) {
  Forget();
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  ASSERT_TRUE(view->Get(kMiB, 4'096).empty());
  Bytes out(4'096);
  ASSERT_EQ(pread(file_.get(), out.data(), out.size(), kMiB), 4'096);
  view->NoteResident(kMiB, out.size());
  EXPECT_TRUE(std::ranges::equal(view->Get(kMiB, out.size()), out));
}

TEST_F(FileViewTest, GivesNothingBehindTheEndOfTheFile) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->Get(kBytes, 1).empty());
  EXPECT_TRUE(view->Get(kBytes - 100, 5'000).empty());
  EXPECT_TRUE(view->Covers(512 * kMiB, 4'096)) << "room to grow";
  EXPECT_FALSE(view->Covers(kTiB, 1));
  EXPECT_TRUE(view->Get(kTiB, 1).empty());
}

TEST_F(FileViewTest, SystemCallsHearOfAFileThatHasBecomeShorter) {
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  const ConstSpan bytes = view->Get(4 * kMiB, 4'096);
  ASSERT_EQ(bytes.size(), 4'096u);
  ASSERT_EQ(ftruncate(file_.get(), kMiB), 0);
  EXPECT_EQ(Touch(bytes), -1);
  EXPECT_EQ(errno, EFAULT);
}

// The lock by which a blob has one writer is the descriptor's, and must go with it.
TEST_F(FileViewTest, KeepsNoLock) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(file_.get(), F_OFD_SETLK, &lock), 0);
  const auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  file_.Close();
  const Fd other(open(Path().c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(fcntl(other.get(), F_OFD_SETLK, &lock), 0);
  EXPECT_EQ(GetAgain(*view, 0, kBytes).size(), kBytes);
}

TEST_F(FileViewTest, SharesABudgetWithAllOthers) {
  budget_.regions = ViewBudget::kMostRegions - 1;
  auto view = FileView::Make(file_.get(), &budget_);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->Get(0, 4'096).empty());
  EXPECT_TRUE(budget_.is_spent());
  EXPECT_FALSE(view->Get(kMiB, 4'096).empty()) << "of the same 2 MiB";
  EXPECT_EQ(FileView::Make(file_.get(), &budget_), nullptr);
  view.reset();
  EXPECT_EQ(budget_.regions, ViewBudget::kMostRegions - 1);
  EXPECT_EQ(budget_.mapped, 0u);
  budget_.mapped = ViewBudget::kMostMapped;
  EXPECT_EQ(FileView::Make(file_.get(), &budget_), nullptr);
}

// A blob of 1 MiB, in the page cache.
class ViewsOfBlobs : public FileStoreTest {
 protected:
  void SetUp() override {
    ASSERT_OK(Run(store_->Adopt(id_, 0)));
    ASSERT_OK(Run(store_->Write(id_, 0, data_, {})));
  }
  void TearDown() override { Close(*store_); }
  // Asks until it is given, or has been asked for often.
  ConstSpan View(uint64_t offset, size_t length) {
    ConstSpan view;
    for (int i = 0; i < 100 && view.empty(); ++i) view = store_->TryView(id_, offset, length);
    return view;
  }
  static bool IsSame(ConstSpan view, ConstSpan bytes) { return std::ranges::equal(view, bytes); }

  const std::unique_ptr<FileStore> store_ = Open();
  const BlobId id_ = NewBlob();
  const Bytes data_ = Pattern(kMiB, 3);
};

TEST_F(ViewsOfBlobs, AreGivenOnceManyAreWanted) {
  EXPECT_TRUE(store_->TryView(id_, 0, 4'096).empty()) << "who reads once is not worth a mapping";
  EXPECT_TRUE(IsSame(View(8'192, 4'096), ConstSpan(data_).subspan(8'192, 4'096)));
}

TEST_F(ViewsOfBlobs, KeepNoBlobFromItsNextWriter) {
  const auto next = Open();
  ASSERT_FALSE(View(0, 4'096).empty());
  Run(store_->Disown(id_));
  EXPECT_OK(Run(next->Adopt(id_, 0)));
  Close(*next);
}

TEST_F(ViewsOfBlobs, GrowWithTheFile) {
  ASSERT_FALSE(View(0, 4'096).empty());
  ASSERT_OK(Run(store_->Write(id_, 3 * kGiB, data_, {})));
  (void)store_->TryView(id_, 3 * kGiB, kMiB);
  Rest(kMillisecond);
  EXPECT_TRUE(IsSame(View(3 * kGiB, kMiB), data_));
  EXPECT_EQ(store_->TryView(id_, 0, 4'096).size(), 4'096u);
}

// Who asks for many in a row, and sends them afterwards, has all of them.
TEST_F(ViewsOfBlobs, StayRightWhileMoreAreAskedFor) {
  const ConstSpan view = View(0, 4'096), bytes = ConstSpan(data_).first(4'096);
  ASSERT_TRUE(IsSame(view, bytes));
  ASSERT_OK(Run(store_->Write(id_, 3 * kGiB, data_, {})));
  // Behind the end of the mapping, and so often that another one would be made.
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(store_->TryView(id_, 3 * kGiB, 4'096).empty());
    ASSERT_TRUE(IsSame(view, bytes));
  }
  Rest(kMillisecond);
  EXPECT_TRUE(IsSame(View(3 * kGiB, 4'096), bytes));
}

}  // namespace
}  // namespace atl
