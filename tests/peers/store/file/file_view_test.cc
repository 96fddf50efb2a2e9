// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_view.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

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

class ViewsOfBlobs : public FileStoreTest {};

TEST_F(ViewsOfBlobs, AreGivenOnceManyAreWanted) {
  auto store = Open();
  const BlobId id = NewBlob();
  ASSERT_OK(Run(store->Adopt(id, 0)));
  const Bytes data = Pattern(kMiB, 3);
  ASSERT_OK(Run(store->Write(id, 0, data, {})));
  EXPECT_TRUE(store->TryView(id, 0, 4'096).empty()) << "who reads once is not worth a mapping";
  ConstSpan view;
  for (int i = 0; i < 100 && view.empty(); ++i) view = store->TryView(id, 8'192, 4'096);
  ASSERT_EQ(view.size(), 4'096u);
  EXPECT_TRUE(std::ranges::equal(view, ConstSpan(data).subspan(8'192, 4'096)));
  Close(*store);
}

TEST_F(ViewsOfBlobs, KeepNoBlobFromItsNextWriter) {
  auto store = Open();
  auto next = Open();
  const BlobId id = NewBlob();
  ASSERT_OK(Run(store->Adopt(id, 0)));
  ASSERT_OK(Run(store->Write(id, 0, Pattern(kMiB, 4), {})));
  for (int i = 0; i < 100; ++i) (void)store->TryView(id, 0, 4'096);
  ASSERT_FALSE(store->TryView(id, 0, 4'096).empty());
  Run(store->Disown(id));
  EXPECT_OK(Run(next->Adopt(id, 0)));
  Close(*store);
  Close(*next);
}

TEST_F(ViewsOfBlobs, GrowWithTheFile) {
  auto store = Open();
  const BlobId id = NewBlob();
  ASSERT_OK(Run(store->Adopt(id, 0)));
  ASSERT_OK(Run(store->Write(id, 0, Pattern(kMiB, 5), {})));
  for (int i = 0; i < 100; ++i) (void)store->TryView(id, 0, 4'096);
  const Bytes far = Pattern(kMiB, 6);
  ASSERT_OK(Run(store->Write(id, 3 * kGiB, far, {})));
  (void)store->TryView(id, 3 * kGiB, kMiB);
  Rest(kMillisecond);
  ConstSpan view;
  for (int i = 0; i < 100 && view.empty(); ++i) view = store->TryView(id, 3 * kGiB, kMiB);
  EXPECT_TRUE(std::ranges::equal(view, far));
  EXPECT_EQ(store->TryView(id, 0, 4'096).size(), 4'096u);
  Close(*store);
}

// Who asks for many in a row, and sends them afterwards, has all of them.
TEST_F(ViewsOfBlobs, StayRightWhileMoreAreAskedFor) {
  auto store = Open();
  const BlobId id = NewBlob();
  ASSERT_OK(Run(store->Adopt(id, 0)));
  const Bytes data = Pattern(kMiB, 7);
  ASSERT_OK(Run(store->Write(id, 0, data, {})));
  ConstSpan view;
  for (int i = 0; i < 100 && view.empty(); ++i) view = store->TryView(id, 0, 4'096);
  ASSERT_EQ(view.size(), 4'096u);
  ASSERT_OK(Run(store->Write(id, 3 * kGiB, data, {})));
  // Behind the end of the mapping, and so often that another one would be made.
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(store->TryView(id, 3 * kGiB, 4'096).empty());
    ASSERT_TRUE(std::ranges::equal(view, ConstSpan(data).first(4'096)));
  }
  Rest(kMillisecond);
  for (int i = 0; i < 100; ++i) view = store->TryView(id, 3 * kGiB, 4'096);
  EXPECT_TRUE(std::ranges::equal(view, ConstSpan(data).first(4'096)));
  Close(*store);
}

}  // namespace
}  // namespace atl
