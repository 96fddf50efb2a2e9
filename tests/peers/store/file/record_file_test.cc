// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/record_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/peers/format/random_values.h"
#include "tests/peers/store/contract/medium.h"
#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr size_t kChecksumAt = 252;
constexpr size_t kLengthAt = 28;
constexpr uint64_t kVersion = 3;
const RecordKey kKey = RecordKey::Of(RecordKind::kHeader, Uuid{{1, 2, 3}});
const RecordKey kOther = RecordKey::Of(RecordKind::kHeader, Uuid{{1, 2, 4}});
constexpr char kPath[] = "records/header/x/3";

Bytes Encoded() {
  return EncodeRecordFile(
      {.key = kKey, .state = RecordState{}.Next(kVersion, Uuid{{7}}), .payload = Pattern(40, 1)});
}

// As whoever wrote these bytes would have summed them up.
Bytes Resealed(Bytes bytes) {
  const ConstSpan all(bytes);
  const uint32_t checksum = Crc32c(all.subspan(kRecordFileHeader), Crc32c(all.first(kChecksumAt)));
  std::memcpy(bytes.data() + kChecksumAt, &checksum, sizeof(checksum));
  return bytes;
}

Code CodeOf(const Bytes& bytes, const RecordKey& key = kKey, uint64_t version = kVersion) {
  const auto read = DecodeRecordFile(bytes, key, version, kPath);
  if (!read.ok()) EXPECT_NE(read.status().message().find(kPath), std::string_view::npos);
  return read.code();
}

TEST(RecordFile, AttackS18EveryFlippedBitAndEveryLengthIsCorruptAndNamed) {
  ASSERT_EQ(CodeOf(Encoded()), Code::kOk);
  ASSERT_EQ(Resealed(Encoded()), Encoded());
  ExpectAllDamageRefused(Encoded(),
                         [](const Bytes& bytes) { return CodeOf(bytes) == Code::kCorrupt; });
}

// Bytes that are right in themselves, under another name than they were written for.
TEST(RecordFile, AttackS18ARightRecordInTheWrongPlaceIsCorrupt) {
  EXPECT_EQ(CodeOf(Encoded(), kOther), Code::kCorrupt);
  EXPECT_EQ(CodeOf(Encoded(), {.kind = RecordKind::kLock, .name = kKey.name}), Code::kCorrupt);
  EXPECT_EQ(CodeOf(Encoded(), kKey, kVersion + 1), Code::kCorrupt);
  EXPECT_EQ(CodeOf(Encoded(), kKey, kVersion - 1), Code::kCorrupt);
}

TEST(RecordFile, AttackS18ALengthThatIsNotTheFilesIsCorruptUnderARightChecksum) {
  for (const uint32_t length : {0u, 39u, 41u, ~0u}) {
    Bytes bytes = Encoded();
    std::memcpy(bytes.data() + kLengthAt, &length, sizeof(length));
    EXPECT_EQ(CodeOf(Resealed(bytes)), Code::kCorrupt) << length;
  }
  Bytes longer = Encoded();
  longer.push_back(std::byte{0});
  EXPECT_EQ(CodeOf(Resealed(longer)), Code::kCorrupt);
}

TEST(RecordFile, WhatANewerProgramWroteIsToldApartFromDamage) {
  constexpr size_t kFormatAt = 8, kReadOnlyCompatAt = 20, kIncompatAt = 24;
  for (const size_t at : {kFormatAt, kIncompatAt}) {
    Bytes bytes = Encoded();
    bytes[at] = std::byte{2};
    EXPECT_EQ(CodeOf(Resealed(bytes)), Code::kUnsupported) << at;
  }
  Bytes bytes = Encoded();
  bytes[kReadOnlyCompatAt] = std::byte{2};
  const auto read = DecodeRecordFile(Resealed(bytes), kKey, kVersion, kPath);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_TRUE(read->read_only);
  EXPECT_FALSE(DecodeRecordFile(Encoded(), kKey, kVersion, kPath)->read_only);
}

}  // namespace
}  // namespace atl
