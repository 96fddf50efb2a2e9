// SPDX-License-Identifier: Apache-2.0
//
// How a buffered write is cut up.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "peers/store/file/context.h"
#include "peers/store/file/sys.h"
#include "tests/peers/store/contract/medium.h"
#include "tests/peers/store/contract/temp_dir.h"

namespace atl {
namespace {

class WriteCachedTest : public testing::Test, private sys::Watcher {
 protected:
  WriteCachedTest()
      : file_(open((directory_.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        watch_(this) {
    CHECK(file_.valid());
  }

  // What is written in one turn at `offset`, as the lengths of the calls.
  std::vector<uint64_t> Write(uint64_t offset, size_t length) {
    writes_.clear();
    const Bytes data = Pattern(length, ++seed_);
    EXPECT_EQ(WriteCached(file_.get(), offset, data), static_cast<ssize_t>(length));
    Bytes read(length);
    EXPECT_EQ(pread(file_.get(), read.data(), length, static_cast<off_t>(offset)),
              static_cast<ssize_t>(length));
    EXPECT_EQ(read, data);
    return writes_;
  }
  // Out of the page cache.
  void Forget(ByteRange range) {
    CHECK(fsync(file_.get()) == 0);
    CHECK(posix_fadvise(file_.get(), static_cast<off_t>(range.offset),
                        static_cast<off_t>(range.length), POSIX_FADV_DONTNEED) == 0);
  }
  bool KernelCounts() { return sys::CountCached(file_.get(), {0, 4096}) >= 0; }

  bool says_nothing_ = false;

 private:
  std::optional<int64_t> Before(sys::Call& call) override {
    if (call.op == sys::Op::kMap && says_nothing_) return -EIO;
    if (call.op == sys::Op::kWrite) writes_.push_back(call.length);
    return std::nullopt;
  }
  void After(const sys::Call&, int64_t) override {}

  TempDir directory_;
  Fd file_;
  uint64_t seed_ = 0;
  std::vector<uint64_t> writes_;
  sys::Watch watch_;
};

const std::vector<uint64_t> kPieces(8, kCachedWrite);

TEST_F(WriteCachedTest, WhatIsNewIsCutUp) {
  EXPECT_EQ(Write(0, kWriteTurn), kPieces);
  EXPECT_EQ(Write(kMiB + 4096, 32 * kKiB), (std::vector<uint64_t>{12 * kKiB, 16 * kKiB, 4 * kKiB}));
}

TEST_F(WriteCachedTest, WhatIsThereIsWrittenAtOnce) {
  (void)Write(0, kWriteTurn);
  if (!KernelCounts()) return;  // Linux before 6.5: it is cut up, as below.
  EXPECT_EQ(Write(0, kWriteTurn), std::vector<uint64_t>{kWriteTurn});
  EXPECT_EQ(Write(1, kWriteTurn - 2), std::vector<uint64_t>{kWriteTurn - 2});
}

TEST_F(WriteCachedTest, WhatIsThereInPartIsCutUp) {
  (void)Write(0, kWriteTurn);
  Forget({64 * kKiB, 16 * kKiB});
  EXPECT_EQ(Write(0, kWriteTurn), kPieces);
  if (KernelCounts()) EXPECT_EQ(Write(0, kWriteTurn), std::vector<uint64_t>{kWriteTurn});
  EXPECT_EQ(Write(16 * kKiB, kWriteTurn), kPieces) << "the last piece is new";
}

TEST_F(WriteCachedTest, WhereTheKernelCannotSayItIsCutUp) {
  (void)Write(0, kWriteTurn);
  says_nothing_ = true;
  EXPECT_EQ(Write(0, kWriteTurn), kPieces);
}

}  // namespace
}  // namespace atl
