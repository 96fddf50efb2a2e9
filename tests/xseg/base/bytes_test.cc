// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/bytes.h"

#include <gtest/gtest.h>

#include "xseg/base/crc32c.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

TEST(Decoder, ReadsWhatTheEncoderWrote) {
  Encoder out;
  out.Put(uint16_t{0x1234});
  out.Put(int64_t{-5});
  out.Text("name");
  EXPECT_EQ(out.view()[0], std::byte{0x34});
  Decoder in(out.view());
  EXPECT_EQ(in.Get<uint16_t>(), 0x1234);
  EXPECT_EQ(in.Get<int64_t>(), -5);
  EXPECT_EQ(in.Text(10), "name");
  EXPECT_TRUE(in.done());
}

TEST(Decoder, NeverReadsPastItsEndAndStaysFailed) {
  Encoder out;
  out.Put(uint32_t{100});
  Decoder in(out.view());
  EXPECT_TRUE(in.Blob(1000).empty());
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.Get<uint8_t>(), 0);
}

TEST(Crc32c, MatchesTheStandardsVectors) {
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xE3069283u);
  const Bytes zeros(32);
  EXPECT_EQ(Crc32c(zeros), 0x8A9136AAu);
  const Bytes ones(32, std::byte{0xFF});
  EXPECT_EQ(Crc32c(ones), 0x62A8AB43u);
}

TEST(Crc32c, BothFormsAgreeAndContinue) {
  Bytes bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  for (size_t length : {0, 1, 7, 8, 9, 63, 1000}) {
    const auto part = ConstSpan(bytes).first(length);
    EXPECT_EQ(Crc32c(part), internal::Crc32cTable(part, 0));
  }
  EXPECT_EQ(Crc32c(ConstSpan(bytes).subspan(100), Crc32c(ConstSpan(bytes).first(100))),
            Crc32c(bytes));
}

TEST(Uuid, PrintsAndParses) {
  const Uuid uuid = Uuid::FromRandom(0x1122334455667788, 0x99AABBCCDDEEFF00);
  EXPECT_EQ(*Uuid::Parse(uuid.ToString()), uuid);
  EXPECT_EQ(*Uuid::Parse(uuid.ToHex()), uuid);
  EXPECT_EQ(uuid.ToString()[14], '4');
  for (const char* bad : {"", "123", "zz22334455667788-99AA-BBCC-DDEEFF0011", "1122334455667788"}) {
    EXPECT_EQ(Uuid::Parse(bad).code(), Code::kInvalid) << bad;
  }
}

TEST(ByteRange, RoundsInAndOut) {
  constexpr ByteRange range{5000, 10000};
  static_assert(range.RoundOut(4096) == ByteRange{4096, 12288});
  static_assert(range.RoundIn(4096) == ByteRange{8192, 4096});
  static_assert(ByteRange{10, 20}.RoundIn(4096).empty());
  static_assert(range.Intersect({0, 6000}) == ByteRange{5000, 1000});
}

TEST(Bytes, IsAllZeroLooksAtEveryByte) {
  Bytes bytes(100);
  EXPECT_TRUE(IsAllZero(bytes));
  for (size_t i : {0, 50, 99}) {
    bytes[i] = std::byte{1};
    EXPECT_FALSE(IsAllZero(bytes)) << i;
    bytes[i] = std::byte{0};
  }
}

TEST(Status, KeepsItsCodeAndGainsContext) {
  const Status status = Status::FromErrno(ENOSPC, "pwrite x").With("volume db");
  EXPECT_EQ(status.code(), Code::kNoSpace);
  EXPECT_EQ(status.ToString(), "no space: volume db: pwrite x: No space left on device");
  EXPECT_TRUE(OkStatus().With("anything").ok());
}

}  // namespace
}  // namespace atl
