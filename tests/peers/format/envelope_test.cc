// SPDX-License-Identifier: Apache-2.0
#include "peers/format/envelope.h"

#include <gtest/gtest.h>

#include "peers/format/checked.h"
#include "peers/format/header.h"

namespace atl {
namespace {

Bytes Encoded(uint16_t version, const FormatFlags& flags) {
  Encoder out;
  PutEnvelope(&out, "TEST", version, flags);
  return out.Take();
}

Result<FormatFlags> Decoded(const Bytes& bytes) {
  Decoder in(bytes);
  return GetEnvelope(&in, "TEST", 3, FormatFlags{1, 1, 1});
}

TEST(Envelope, IsTwentyBytesAndReadsBack) {
  const Bytes bytes = Encoded(3, {1, 1, 1});
  EXPECT_EQ(bytes.size(), kEnvelopeBytes);
  ASSERT_TRUE(Decoded(bytes).ok());
  EXPECT_EQ(*Decoded(bytes), (FormatFlags{1, 1, 1}));
}

TEST(Envelope, KeepsUnknownCompatFlagsAndRefusesUnknownIncompatOnes) {
  EXPECT_EQ(Decoded(Encoded(3, {6, 6, 0}))->compat, 6u);
  EXPECT_EQ(Decoded(Encoded(3, {0, 0, 2})).code(), Code::kUnsupported);
  EXPECT_NE(Decoded(Encoded(3, {0, 0, 2})).status().message().find("0x2"), std::string_view::npos);
}

TEST(Envelope, UnknownReadOnlyCompatFlagsMeanReadingOnly) {
  EXPECT_TRUE(IsReadOnlyHere(*Decoded(Encoded(3, {0, 2, 0}))));
  EXPECT_FALSE(IsReadOnlyHere({0, 1, 0}, {0, 1, 0}));
  EXPECT_FALSE(IsReadOnlyHere({7, 0, 0}));
}

TEST(Envelope, RefusesOtherVersionsMagicsAndShortBytes) {
  EXPECT_EQ(Decoded(Encoded(4, {})).code(), Code::kUnsupported);
  Bytes bytes = Encoded(3, {});
  bytes[0] = std::byte{'X'};
  EXPECT_EQ(Decoded(bytes).code(), Code::kCorrupt);
  bytes = Encoded(3, {});
  bytes[6] = std::byte{1};
  EXPECT_EQ(Decoded(bytes).code(), Code::kCorrupt);
  for (size_t length = 0; length < kEnvelopeBytes; ++length) {
    const Bytes cut(bytes.begin(), bytes.begin() + length);
    EXPECT_EQ(Decoded(cut).code(), Code::kCorrupt) << length;
  }
}

TEST(Envelope, ANewerHeaderIsUnsupportedAndADamagedOneCorrupt) {
  const Header header{.flags = {.incompat = 0x10},
                      .uuid = {{1}},
                      .name = "v",
                      .size = 512,
                      .epoch = 1,
                      .epoch_store = {{2}}};
  Bytes bytes = *EncodeHeader(header);
  EXPECT_EQ(DecodeHeader(bytes, header.uuid).code(), Code::kUnsupported);
  bytes[16] ^= std::byte{0x20};
  EXPECT_EQ(DecodeHeader(bytes, header.uuid).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace atl
