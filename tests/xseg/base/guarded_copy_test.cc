// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/guarded_copy.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "xseg/base/fd.h"

namespace atl {
namespace {

constexpr size_t kPage = 4096;

// Four pages that are mapped, and the file of them.
class GuardedCopy : public testing::Test {
 protected:
  GuardedCopy() : file_(memfd_create("guarded", MFD_CLOEXEC)) {
    const Bytes bytes(4 * kPage, std::byte{7});
    CHECK(pwrite(file_.get(), bytes.data(), bytes.size(), 0) == 4 * kPage);
    memory_ = mmap(nullptr, 4 * kPage, PROT_READ, MAP_SHARED, file_.get(), 0);
    CHECK(memory_ != MAP_FAILED);
  }
  ~GuardedCopy() override { munmap(memory_, 4 * kPage); }
  ConstSpan Mapped(size_t offset, size_t length) const {
    return {static_cast<const std::byte*>(memory_) + offset, length};
  }

  Fd file_;
  void* memory_;
};

TEST_F(GuardedCopy, CopiesWhatIsThere) {
  Bytes out(2 * kPage);
  EXPECT_TRUE(CopyGuarded(out, Mapped(kPage, 2 * kPage)));
  EXPECT_EQ(out, Bytes(2 * kPage, std::byte{7}));
  EXPECT_TRUE(CopyGuarded({}, {}));
}

TEST_F(GuardedCopy, SaysWhereTheFileHasBecomeShorterAsOftenAsThatHappens) {
  ASSERT_EQ(ftruncate(file_.get(), 2 * kPage), 0);
  Bytes out(2 * kPage);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(CopyGuarded(out, Mapped(kPage, 2 * kPage)));
    EXPECT_FALSE(CopyGuarded(out, Mapped(2 * kPage, 2 * kPage)));
    EXPECT_TRUE(CopyGuarded(out, Mapped(0, 2 * kPage)));
  }
}

TEST_F(GuardedCopy, EachThreadHasItsOwn) {
  ASSERT_EQ(ftruncate(file_.get(), 2 * kPage), 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([this, good = i % 2 == 0] {
      Bytes out(kPage);
      for (int n = 0; n < 2000; ++n) {
        EXPECT_EQ(CopyGuarded(out, Mapped(good ? kPage : 2 * kPage, kPage)), good);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

using GuardedCopyDeath = GuardedCopy;

TEST_F(GuardedCopyDeath, AnyOtherBusErrorEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto touch = [this] {
    Bytes out(kPage);
    CHECK(CopyGuarded(out, Mapped(0, kPage)));
    CHECK(ftruncate(file_.get(), 0) == 0);
    volatile std::byte byte = Mapped(0, 1)[0];
    (void)byte;
  };
  EXPECT_EXIT(touch(), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace atl
