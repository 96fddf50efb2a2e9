// SPDX-License-Identifier: Apache-2.0
//
// TryRead, TryWrite and TryView: they may always say no, and what they do is what Read and Write
// do.
#include <sys/mman.h>
#include <unistd.h>

#include "medium.h"
#include "xseg/base/fd.h"

namespace atl {
namespace {

class AtOnceContract : public StoreContract {};
CONTRACT_FOR_ALL(AtOnceContract);

constexpr int kTries = 200;  // Enough for whoever wants to be asked often.

// What a system call finds where a view points to; empty if it cannot be read.
Bytes Look(ConstSpan view) {
  const Fd file(memfd_create("look", MFD_CLOEXEC));
  const ssize_t put = pwrite(file.get(), view.data(), view.size(), 0);
  Bytes bytes(put > 0 ? static_cast<size_t>(put) : 0);
  EXPECT_EQ(pread(file.get(), bytes.data(), bytes.size(), 0), put > 0 ? put : 0);
  return bytes;
}

TEST_P(AtOnceContract, WhatIsReadIsWhatReadBrings) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 3 * kMiB, Pattern(200'000, 1), {})));
  std::mt19937_64 random(TestSeed(1));
  for (int i = 0; i < kTries; ++i) {
    const uint64_t offset = 3 * kMiB - 10'000 + random() % 220'000;
    const size_t length = 1 + random() % 9'000;
    const Bytes expected = ReadBack(*b, id, offset, length);
    Bytes out(length, std::byte{0xEE});
    if (a->TryRead(id, offset, out)) {
      EXPECT_EQ(out, expected);
    }
    const ConstSpan view = a->TryView(id, offset, length);
    if (!view.empty()) {
      EXPECT_EQ(Look(view), expected);
    }
  }
}

TEST_P(AtOnceContract, WhatIsWrittenIsSeenByAllAndSynced) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Bytes expected = Pattern(100'000, 2);
  ASSERT_OK(Run(a->Write(id, 0, expected, {})));
  std::mt19937_64 random(TestSeed(2));
  for (int i = 0; i < kTries; ++i) {
    const size_t at = random() % expected.size();
    const Bytes data = Pattern(1 + random() % std::min<size_t>(expected.size() - at, 5'000), i);
    if (!a->TryWrite(id, at, data)) ASSERT_OK(Run(a->Write(id, at, data, {})));
    std::copy(data.begin(), data.end(), expected.begin() + static_cast<ptrdiff_t>(at));
  }
  EXPECT_OK(Run(a->Sync(id)));
  EXPECT_EQ(ReadBack(*b, id, 0, expected.size()), expected);
}

TEST_P(AtOnceContract, OnlyWhoHasAdoptedWrites) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes before = Pattern(4'096, 3);
  ASSERT_OK(Run(a->Write(id, 0, before, {})));
  EXPECT_EQ(ReadBack(*b, id, 0, before.size()), before);
  EXPECT_FALSE(b->TryWrite(id, 0, Pattern(4'096, 4)));
  Run(a->Disown(id));
  EXPECT_FALSE(a->TryWrite(id, 0, Pattern(4'096, 5)));
  EXPECT_EQ(ReadBack(*b, id, 0, before.size()), before);
}

TEST_P(AtOnceContract, WhatIsNotThereIsNeverZeros) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 0, Pattern(4'096, 6), {})));
  EXPECT_EQ(ReadBack(*a, id, 0, 4'096), Pattern(4'096, 6));
  ASSERT_OK(Run(a->Remove(id)));
  Bytes out(4'096);
  for (int i = 0; i < kTries; ++i) {
    EXPECT_FALSE(a->TryRead(id, 0, out));
    EXPECT_TRUE(a->TryView(id, 0, out.size()).empty());
    EXPECT_FALSE(a->TryWrite(id, 0, out));
  }
}

TEST_P(AtOnceContract, NonsenseIsRefused) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 0, Pattern(4'096, 7), {})));
  Bytes out(4'096);
  EXPECT_FALSE(a->TryRead(id, kPiB - 1, out));
  EXPECT_FALSE(a->TryRead(id, UINT64_MAX - 100, out));
  EXPECT_FALSE(a->TryWrite(id, kPiB - 1, out));
  EXPECT_FALSE(a->TryWrite(id, UINT64_MAX - 100, out));
  EXPECT_TRUE(a->TryView(id, UINT64_MAX - 100, 4'096).empty());
  EXPECT_TRUE(a->TryView(id, 0, kMaxStoreIo + 1).empty());
}

TEST_P(AtOnceContract, AClosedStoreDoesNothing) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(4'096, 8);
  ASSERT_OK(Run(a->Write(id, 0, data, {})));
  Run(a->Close());
  Bytes out(4'096);
  EXPECT_FALSE(a->TryRead(id, 0, out));
  EXPECT_TRUE(a->TryView(id, 0, out.size()).empty());
  EXPECT_FALSE(a->TryWrite(id, 0, out));
  a.reset();
  EXPECT_EQ(ReadBack(*b, id, 0, data.size()), data);
}

}  // namespace
}  // namespace atl
