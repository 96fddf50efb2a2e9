// SPDX-License-Identifier: Apache-2.0
#include "peers/store/checksum/sum_page.h"

#include <gtest/gtest.h>

#include "tests/peers/store/contract/medium.h"

namespace atl {
namespace {

const BlobId kBlob{Uuid::FromRandom(1, 2), 3};

SumPage Filled() {
  SumPage page{.clean = true};
  for (size_t i = 0; i < page.sums.size(); ++i) page.sums[i] = static_cast<uint32_t>(i * i);
  return page;
}

TEST(SumPage, IsReadAsItWasWritten) {
  const Bytes bytes = EncodeSumPage(Filled(), 5, kBlob, 9);
  ASSERT_EQ(bytes.size(), kSumPageBytes);
  const auto page = DecodeSumPage(bytes, 5, kBlob, 9);
  ASSERT_TRUE(page.has_value());
  EXPECT_TRUE(page->clean);
  EXPECT_EQ(page->sums, Filled().sums);
  const auto dirty = DecodeSumPage(EncodeSumPage({}, 5, kBlob, 9), 5, kBlob, 9);
  ASSERT_TRUE(dirty.has_value());
  EXPECT_FALSE(dirty->clean);
}

TEST(SumPage, SaysNothingElsewhere) {
  const Bytes bytes = EncodeSumPage(Filled(), 5, kBlob, 9);
  EXPECT_FALSE(DecodeSumPage(bytes, 6, kBlob, 9).has_value()) << "another generation";
  EXPECT_FALSE(DecodeSumPage(bytes, 5, kBlob, 8).has_value()) << "another region";
  EXPECT_FALSE(DecodeSumPage(bytes, 5, {kBlob.owner, 4}, 9).has_value()) << "another blob";
  EXPECT_FALSE(DecodeSumPage(Bytes(kSumPageBytes), 0, kBlob, 0).has_value()) << "never written";
  EXPECT_FALSE(DecodeSumPage(ConstSpan(bytes).first(100), 5, kBlob, 9).has_value());
}

TEST(SumPage, AnyFlippedBitIsSeen) {
  Bytes bytes = EncodeSumPage(Filled(), 5, kBlob, 9);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = std::byte(1u << (bit % 8));
    bytes[bit / 8] ^= mask;
    EXPECT_FALSE(DecodeSumPage(bytes, 5, kBlob, 9).has_value()) << bit;
    bytes[bit / 8] ^= mask;
  }
}

TEST(SumPage, TheSumOfABlockDependsOnItsPlaceAndIsNeverZero) {
  const Bytes block = Pattern(kSumBlock, 1);
  const uint32_t sum = SumOfBlock(kBlob, 1, block);
  EXPECT_EQ(SumOfBlock(kBlob, 1, block), sum);
  EXPECT_NE(SumOfBlock(kBlob, 2, block), sum);
  EXPECT_NE(SumOfBlock({kBlob.owner, 4}, 1, block), sum);
  EXPECT_NE(SumOfBlock(kBlob, 1, Bytes(kSumBlock)), 0u);
}

}  // namespace
}  // namespace atl
