// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "medium.h"

namespace atl {
namespace {

class BlobContract : public StoreContract {};
CONTRACT_FOR_ALL(BlobContract);

constexpr WriteOptions kPlain{};
constexpr WriteOptions kDataSync{.data_sync = true};

TEST_P(BlobContract, ReadsBackWhatWasWrittenThroughEveryInstance) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(100'000, 1);
  ASSERT_OK(Run(a->Write(id, 12'345, data, kPlain)));
  EXPECT_EQ(ReadBack(*a, id, 12'345, data.size()), data);
  EXPECT_EQ(ReadBack(*b, id, 12'345, data.size()), data);
}

TEST_P(BlobContract, PartsNeverWrittenReadAsZero) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(700, 2);
  ASSERT_OK(Run(a->Write(id, 5'000, data, kPlain)));
  EXPECT_TRUE(IsAllZero(ReadBack(*a, id, 0, 5'000)));
  EXPECT_TRUE(IsAllZero(ReadBack(*a, id, 5'700, 100'000)));
  EXPECT_TRUE(IsAllZero(ReadBack(*a, id, 900 * kTiB, 4'096)));
  EXPECT_TRUE(IsAllZero(ReadBack(*b, id, kPiB - 512, 512)));
}

TEST_P(BlobContract, AWriteNeverChangesAByteOutsideOfItsRange) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Bytes expected = Pattern(64 * 1024, 3);
  ASSERT_OK(Run(a->Write(id, 0, expected, kPlain)));
  std::mt19937_64 random(TestSeed(3));
  for (int i = 0; i < 200; ++i) {
    const size_t at = random() % expected.size();
    const size_t length = 1 + random() % std::min<size_t>(expected.size() - at, 5'000);
    const Bytes data = Pattern(length, random());
    ASSERT_OK(Run(a->Write(id, at, data, i % 8 == 0 ? kDataSync : kPlain)));
    std::copy(data.begin(), data.end(), expected.begin() + static_cast<ptrdiff_t>(at));
  }
  EXPECT_EQ(ReadBack(*b, id, 0, expected.size()), expected);
}

TEST_P(BlobContract, AWriteMayCrossTheTebibyteAndReachTheLastByte) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(3 * kMiB, 4);
  ASSERT_OK(Run(a->Write(id, kTiB - kMiB - 77, data, kPlain)));
  EXPECT_EQ(ReadBack(*b, id, kTiB - kMiB - 77, data.size()), data);
  const Bytes last = Pattern(4'096, 5);
  ASSERT_OK(Run(a->Write(id, kPiB - last.size(), last, kPlain)));
  EXPECT_EQ(ReadBack(*b, id, kPiB - last.size(), last.size()), last);
  ASSERT_OK(Run(a->Sync(id)));
}

TEST_P(BlobContract, RefusesIoBeyondTheLimits) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Bytes buffer(4'096);
  EXPECT_CODE(Code::kInvalid, Run(a->Write(id, kPiB - 4'095, buffer, kPlain)));
  EXPECT_CODE(Code::kInvalid, Run(a->Read(id, kPiB, buffer)));
  EXPECT_CODE(Code::kInvalid, Run(a->Read(id, ~0ull - 100, buffer)));
  EXPECT_CODE(Code::kInvalid, Run(a->Punch(id, {kPiB - 1, 2})));
  EXPECT_CODE(Code::kInvalid, Run(a->Extents(id, {1, ~0ull})));
  Bytes large(kMaxStoreIo + 1);
  EXPECT_CODE(Code::kInvalid, Run(a->Write(id, 0, large, kPlain)));
  EXPECT_CODE(Code::kInvalid, Run(a->Read(id, 0, large)));
  large.pop_back();
  EXPECT_OK(Run(a->Write(id, 0, large, kPlain)));
  EXPECT_OK(Run(a->Read(id, 0, large)));
}

TEST_P(BlobContract, AnEmptyWriteAndAnEmptyReadAreHarmless) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  EXPECT_OK(Run(a->Write(id, 0, {}, kPlain)));
  EXPECT_OK(Run(a->Read(id, 0, {})));
  EXPECT_OK(Run(a->Punch(id, {0, 0})));
}

TEST_P(BlobContract, AnAbsentBlobIsNeverZeros) {
  const BlobId id = NewBlob();
  Bytes buffer(512);
  EXPECT_CODE(Code::kNotFound, Run(a->Read(id, 0, buffer)));
  EXPECT_CODE(Code::kNotFound, Run(a->Sync(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->Extents(id, {0, 4'096})));
  EXPECT_CODE(Code::kNotFound, Run(a->Usage(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->Remove(id)));
}

TEST_P(BlobContract, ARemovedBlobIsGoneForEveryInstance) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const Bytes data = Pattern(8'192, 6);
  ASSERT_OK(Run(a->Write(id, 0, data, kPlain)));
  EXPECT_EQ(ReadBack(*b, id, 0, 8'192), data);
  Run(a->Disown(id));
  ASSERT_OK(Run(a->Remove(id)));
  Bytes buffer(512);
  EXPECT_CODE(Code::kNotFound, Run(a->Read(id, 0, buffer)));
  EXPECT_CODE(Code::kNotFound, Run(a->Remove(id)));
}

TEST_P(BlobContract, PunchedRangesReadAsZeroAndGiveBackTheirSpace) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  Bytes expected = Pattern(4 * kMiB, 7);
  ASSERT_OK(Run(a->Write(id, 0, expected, kPlain)));
  ASSERT_OK(Run(a->Sync(id)));
  const uint64_t before = *Run(a->Usage(id));
  EXPECT_GE(before, 4 * kMiB);
  const ByteRange hole{100'001, 2 * kMiB + 5};
  ASSERT_OK(Run(a->Punch(id, hole)));
  std::fill_n(expected.begin() + hole.offset, hole.length, std::byte{0});
  EXPECT_EQ(ReadBack(*b, id, 0, expected.size()), expected);
  ASSERT_OK(Run(a->Sync(id)));
  if (a->info().capabilities.punch == Support::kNative) {
    EXPECT_LE(*Run(a->Usage(id)), before - 2 * kMiB + 2 * kSubGrain);
  }
}

TEST_P(BlobContract, APunchBeyondWhatWasWrittenIsHarmless) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  EXPECT_OK(Run(a->Punch(id, {0, kPiB})));
  const Bytes data = Pattern(4'096, 8);
  ASSERT_OK(Run(a->Write(id, 4'096, data, kPlain)));
  EXPECT_OK(Run(a->Punch(id, {8'192, kPiB - 8'192})));
  EXPECT_EQ(ReadBack(*a, id, 4'096, 4'096), data);
}

TEST_P(BlobContract, ZeroedRangesReadAsZeroKeptOrNot) {
  for (const bool keep : {false, true}) {
    const BlobId id = NewBlob();
    ASSERT_OK(Run(a->Adopt(id, 0)));
    Bytes expected = Pattern(256 * 1024, 9);
    ASSERT_OK(Run(a->Write(id, 0, expected, kPlain)));
    const ByteRange range{1'000, 123'456};
    ASSERT_OK(Run(a->Zero(id, range, {.keep_allocated = keep})));
    std::fill_n(expected.begin() + range.offset, range.length, std::byte{0});
    EXPECT_EQ(ReadBack(*b, id, 0, expected.size()), expected);
  }
}

TEST_P(BlobContract, KeptZerosTakeSpaceAlsoWhereNothingWasWritten) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Zero(id, {kMiB, 2 * kMiB}, {.keep_allocated = true})));
  EXPECT_GE(*Run(a->Usage(id)), 2 * kMiB);
  EXPECT_TRUE(IsAllZero(ReadBack(*a, id, 0, 4 * kMiB)));
}

TEST_P(BlobContract, FastZeroIsFastOrRefused) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 0, Pattern(64 * 1024, 10), kPlain)));
  const Status status =
      Run(a->Zero(id, {0, 64 * 1024}, {.keep_allocated = true, .fast_only = true}));
  if (a->info().capabilities.zero == Support::kNative) {
    EXPECT_TRUE(status.ok()) << status.ToString();
  } else {
    EXPECT_EQ(status.code(), Code::kUnsupported);
  }
}

TEST_P(BlobContract, ExtentsCoverTheRangeWithoutGapsAndNeighboursDiffer) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  std::mt19937_64 random(TestSeed(11));
  std::vector<ByteRange> written;
  Bytes expected(64 * kMiB + 50'000);
  for (int i = 0; i < 80; ++i) {
    const ByteRange range{random() % (64 * kMiB), 1 + random() % 50'000};
    const auto at = expected.begin() + static_cast<ptrdiff_t>(range.offset);
    if (i % 2 == 0) {
      const Bytes data = Pattern(range.length, i);
      ASSERT_OK(Run(a->Write(id, range.offset, data, kPlain)));
      std::ranges::copy(data, at);
    } else {
      ASSERT_OK(Run(a->Zero(id, range, {.keep_allocated = i % 4 == 1})));
      std::fill_n(at, range.length, std::byte{0});
    }
    written.push_back(range);
  }
  const ByteRange whole{1'234, 80 * kMiB};
  const auto extents = Run(b->Extents(id, whole));
  ASSERT_TRUE(extents.ok()) << extents.status().ToString();
  ASSERT_FALSE(extents->empty());
  uint64_t at = whole.offset;
  for (size_t i = 0; i < extents->size(); ++i) {
    const BlobExtent& extent = (*extents)[i];
    EXPECT_EQ(extent.range.offset, at);
    EXPECT_GT(extent.range.length, 0u);
    if (i > 0) {
      EXPECT_NE(extent.kind, (*extents)[i - 1].kind);
    }
    if (extent.kind != ExtentKind::kData) {
      const ByteRange part = extent.range.Intersect({0, expected.size()});
      EXPECT_TRUE(IsAllZero(ConstSpan(expected).subspan(part.offset, part.length)))
          << extent.range.offset << " + " << extent.range.length;
    }
    if (extent.kind == ExtentKind::kZero) {
      EXPECT_TRUE(std::ranges::any_of(
          written, [&](const ByteRange& range) { return range.Overlaps(extent.range); }));
    }
    at = extent.range.end();
  }
  EXPECT_EQ(at, whole.end());
  if (a->info().capabilities.extents == Support::kNative) {
    EXPECT_GT(extents->size(), 10u);
  }
}

TEST_P(BlobContract, ExtentsOfAHugeEmptyBlobAreOneHole) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  const auto extents = Run(a->Extents(id, {0, kPiB}));
  ASSERT_TRUE(extents.ok());
  ASSERT_EQ(extents->size(), 1u);
  EXPECT_EQ((*extents)[0].range, (ByteRange{0, kPiB}));
  if (a->info().capabilities.extents == Support::kNative)
    EXPECT_EQ((*extents)[0].kind, ExtentKind::kHole);
  EXPECT_TRUE(Run(a->Extents(id, {0, 0}))->empty());
}

TEST_P(BlobContract, ZerosThatWereKeptAllocatedAreNoHolesUntilTheyArePunched) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 8 * kMiB, Pattern(kSubGrain, 12), kPlain)));
  ASSERT_OK(Run(a->Zero(id, {kMiB, 4 * kMiB}, {.keep_allocated = true})));
  ASSERT_OK(Run(a->Write(id, 2 * kMiB, Pattern(kMiB, 13), kPlain)));
  ASSERT_OK(Run(a->Punch(id, {4 * kMiB, kMiB / 2})));
  const ByteRange whole{kMiB / 2, 5 * kMiB};
  const auto extents = Run(b->Extents(id, whole));
  ASSERT_TRUE(extents.ok()) << extents.status().ToString();
  const Capabilities& can = a->info().capabilities;
  std::string kinds;
  uint64_t zeros = 0;
  for (const BlobExtent& extent : *extents) {
    kinds += "hzd"[static_cast<int>(extent.kind)];
    if (extent.kind == ExtentKind::kZero) zeros += extent.range.length;
  }
  if (can.tells_allocation) {
    EXPECT_EQ(kinds, "hzdzhzh");
    EXPECT_EQ(zeros, kMiB + kMiB + kMiB / 2);
  } else if (can.extents == Support::kNative && can.zero == Support::kNative) {
    EXPECT_EQ(kinds, "hdh");
  } else {
    EXPECT_EQ(zeros, 0u);
  }
}

TEST_P(BlobContract, UsageCountsWhatIsTakenNotWhatIsSpanned) {
  const BlobId id = NewBlob();
  ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(id, 700 * kTiB, Pattern(kMiB, 12), kPlain)));
  ASSERT_OK(Run(a->Sync(id)));
  const uint64_t usage = *Run(b->Usage(id));
  EXPECT_GE(usage, kMiB);
  EXPECT_LE(usage, kMiB + 256 * 1024);
}

TEST_P(BlobContract, CopyCopiesDataAndHolesOfItsRangeOnly) {
  const BlobId from = NewBlob(), to = NewBlob();
  ASSERT_OK(Run(a->Adopt(from, 0)));
  ASSERT_OK(Run(a->Adopt(to, 0)));
  Bytes expected = Pattern(2 * kMiB, 13);
  ASSERT_OK(Run(a->Write(to, 0, expected, kPlain)));
  Bytes source(2 * kMiB);
  const Bytes piece = Pattern(300'000, 14);
  ASSERT_OK(Run(a->Write(from, 700'000, piece, kPlain)));
  std::copy(piece.begin(), piece.end(), source.begin() + 700'000);
  Run(a->Disown(from));
  const ByteRange range{500'001, 700'007};
  ASSERT_OK(Run(a->Copy(from, to, range)));
  std::copy_n(source.begin() + range.offset, range.length, expected.begin() + range.offset);
  EXPECT_EQ(ReadBack(*b, to, 0, expected.size()), expected);
  EXPECT_CODE(Code::kNotFound, Run(a->Copy(NewBlob(), to, range)));
  EXPECT_CODE(Code::kFenced, Run(b->Copy(from, to, range)));
}

TEST_P(BlobContract, InstancesOfABlobAreBlobsOfTheirOwn) {
  BlobId first = NewBlob(), second = first, third = first;
  second.instance = 3;
  third.epoch = 2;
  for (const BlobId& id : {first, second, third}) ASSERT_OK(Run(a->Adopt(id, 0)));
  ASSERT_OK(Run(a->Write(first, 0, Pattern(512, 1), kPlain)));
  ASSERT_OK(Run(a->Write(second, 0, Pattern(512, 2), kPlain)));
  EXPECT_EQ(ReadBack(*a, first, 0, 512), Pattern(512, 1));
  EXPECT_EQ(ReadBack(*a, second, 0, 512), Pattern(512, 2));
  EXPECT_TRUE(IsAllZero(ReadBack(*a, third, 0, 512)));
}

TEST_P(BlobContract, ListsEveryBlobOnceInOrderByPages) {
  std::set<BlobId> made;
  for (int i = 0; i < 25; ++i) {
    BlobId id = NewBlob();
    id.epoch = static_cast<uint32_t>(i * 1'000'003u);
    id.instance = static_cast<uint16_t>(i % 3);
    ASSERT_OK(Run(a->Adopt(id, 0)));
    made.insert(id);
  }
  for (const uint32_t limit : {1u, 7u, 25u, 5'000u}) {
    std::vector<BlobId> listed;
    std::optional<BlobId> after;
    while (true) {
      const auto page = Run(b->ListBlobs(after, limit));
      ASSERT_TRUE(page.ok());
      EXPECT_LE(page->items.size(), std::min(limit, kMaxPage));
      listed.insert(listed.end(), page->items.begin(), page->items.end());
      if (page->last) break;
      ASSERT_FALSE(page->items.empty());
      after = page->items.back();
    }
    EXPECT_EQ(listed, std::vector<BlobId>(made.begin(), made.end()));
  }
  EXPECT_CODE(Code::kInvalid, Run(a->ListBlobs(std::nullopt, 0)));
}

TEST_P(BlobContract, CapacityIsReported) {
  const auto capacity = Run(a->GetCapacity());
  ASSERT_TRUE(capacity.ok());
  EXPECT_GT(capacity->total_bytes, 0u);
  EXPECT_LE(capacity->free_bytes, capacity->total_bytes);
}

}  // namespace
}  // namespace atl
