// SPDX-License-Identifier: Apache-2.0
//
// Records of a write log, and what counts of a log.
#include "peers/format/write_log_reader.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

const BlobId kLog = WriteLogOf(Uuid{{1, 2, 3}}, 6);
const CacheIdentity kHere{.boot = {{9}}, .mount = 77, .trusted = true};
constexpr uint32_t kOpening = 6;

JournalEntry Own(uint64_t first, uint64_t count = 1) { return {first, count, JournalChange::kOwn}; }
JournalEntry Zero(uint64_t first, uint64_t count = 1) {
  return {first, count, JournalChange::kZero};
}

// A log whose records are put where the test wants them.
struct Log {
  std::array<Bytes, 2> halves;
  uint64_t next = 1;
  uint64_t live_from = 1;
  uint32_t previous = 0;
  uint32_t opening = kOpening;

  // Returns where it begins.
  size_t Put(size_t half, std::vector<JournalEntry> runs) {
    WriteLogRecord record{.sequence = next++,
                          .live_from = live_from,
                          .opening = opening,
                          .previous = previous,
                          .cache = kHere,
                          .runs = std::move(runs)};
    Bytes bytes(WriteLogRecordBytes(LoggedGrains(record.runs)), std::byte(record.sequence));
    previous = SealWriteLogRecord(kLog, record, bytes);
    const size_t at = halves[half].size();
    halves[half].insert(halves[half].end(), bytes.begin(), bytes.end());
    return at;
  }
  size_t Write(size_t half) { return Put(half, {Own(next)}); }
  void Mark(size_t half) {
    live_from = next;
    Put(half, {});
  }
  void Lose(size_t half, size_t at, size_t bytes = kWriteLogPage) {
    std::fill_n(halves[half].begin() + static_cast<ptrdiff_t>(at), bytes, std::byte{0});
  }
  // As a store would give it; no piece is larger than it has to be.
  Result<std::vector<PlacedRecord>> Read() const {
    WriteLogReader reader(kLog, kOpening, {halves[0].size(), halves[1].size()});
    for (ByteRange piece = reader.wants(); !piece.empty(); piece = reader.wants()) {
      const size_t half = piece.offset < kWriteLogHalf ? 0 : 1;
      reader.Take(ConstSpan(halves[half]).subspan(piece.offset % kWriteLogHalf, piece.length));
    }
    return reader.Live();
  }
  // The sequences of those that count.
  std::vector<uint64_t> Live() const {
    const auto live = Read();
    EXPECT_TRUE(live.ok()) << live.status().ToString();
    std::vector<uint64_t> sequences;
    if (!live.ok()) return {0};
    for (const PlacedRecord& placed : *live) sequences.push_back(placed.record.sequence);
    return sequences;
  }
};
using Sequences = std::vector<uint64_t>;

TEST(WriteLogRecordTest, IsReadAsItWasMade) {
  const WriteLogRecord record{.sequence = 9,
                              .live_from = 7,
                              .opening = kOpening,
                              .previous = 0x1234,
                              .cache = kHere,
                              .runs = {Own(5, 2), Zero(100, 1 << 20), Own(0)}};
  Bytes bytes(WriteLogRecordBytes(3));
  for (size_t i = kWriteLogPage; i < bytes.size(); ++i) bytes[i] = std::byte(i * 7);
  const Bytes data(bytes.begin() + kWriteLogPage, bytes.end());
  const uint32_t checksum = SealWriteLogRecord(kLog, record, bytes);
  bytes.resize(bytes.size() + 100);
  const auto found = DecodeWriteLogRecord(kLog, bytes);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->checksum, checksum);
  EXPECT_EQ(found->record.sequence, 9);
  EXPECT_EQ(found->record.live_from, 7);
  EXPECT_EQ(found->record.opening, kOpening);
  EXPECT_EQ(found->record.previous, 0x1234);
  EXPECT_TRUE(kHere.Proves(found->record.cache));
  EXPECT_EQ(found->record.runs, record.runs);
  EXPECT_EQ(Bytes(found->data.begin(), found->data.end()), data);
  EXPECT_FALSE(DecodeWriteLogRecord(WriteLogOf(Uuid{{1, 2, 3}}, 5), bytes).ok());
}

TEST(WriteLogRecordTest, AllDamageIsRefused) {
  Bytes bytes(WriteLogRecordBytes(1), std::byte{0x5A});
  const WriteLogRecord record{.sequence = 1, .live_from = 1, .opening = 1, .runs = {Own(5)}};
  SealWriteLogRecord(kLog, record, bytes);
  ASSERT_TRUE(DecodeWriteLogRecord(kLog, bytes).ok());
  RandomValues random;
  for (int i = 0; i < 4000; ++i) {
    Bytes damaged = bytes;
    damaged[random.In(0, bytes.size() - 1)] ^= static_cast<std::byte>(1 << random.In(0, 7));
    EXPECT_FALSE(DecodeWriteLogRecord(kLog, damaged).ok());
  }
  for (size_t cut = 0; cut < bytes.size(); cut += 61) {
    EXPECT_FALSE(DecodeWriteLogRecord(kLog, ConstSpan(bytes).first(cut)).ok()) << cut;
  }
}

TEST(WriteLogTest, NothingCountsInAnEmptyOne) {
  Log log;
  EXPECT_EQ(log.Live(), Sequences{});
  log.halves[0].resize(1 * kMiB);
  log.halves[1].resize(100);
  EXPECT_EQ(log.Live(), Sequences{});
}

TEST(WriteLogTest, RecordsCountInOrderAcrossHalves) {
  Log log;
  log.Write(1);
  log.Write(1);
  log.Write(0);
  EXPECT_EQ(log.Live(), (Sequences{1, 2, 3}));
  const auto live = log.Read();
  EXPECT_EQ((*live)[1].at, kWriteLogHalf + 2 * kWriteLogPage);
  EXPECT_EQ((*live)[2].at, 0);
  EXPECT_EQ((*live)[2].size, 2 * kWriteLogPage);
}

TEST(WriteLogTest, AMarkMakesEarlierOnesVoid) {
  Log log;
  log.Write(0);
  log.Write(0);
  log.Mark(0);
  EXPECT_EQ(log.Live(), Sequences{});
  log.Write(0);
  EXPECT_EQ(log.Live(), Sequences{4});
}

TEST(WriteLogTest, AHalfThatIsWrittenAgainHidesWhatItHad) {
  Log log;
  for (int i = 0; i < 4; ++i) log.Write(0);
  log.Write(1);
  log.live_from = 5;
  log.Put(1, {});
  const Bytes before = log.halves[0];
  log.halves[0].clear();
  log.Write(0);
  const size_t fresh = log.halves[0].size();
  log.halves[0].insert(log.halves[0].end(), before.begin() + static_cast<ptrdiff_t>(fresh),
                       before.end());
  EXPECT_EQ(log.Live(), (Sequences{5, 7}));
  // Torn: that half says nothing, and what is behind it is old.
  log.Lose(0, kWriteLogPage);
  EXPECT_EQ(log.Live(), (Sequences{5}));
}

TEST(WriteLogTest, ATornLastRecordIsNothingUnusual) {
  Log log;
  log.Write(0);
  const size_t at = log.Write(0);
  log.Lose(0, at + kWriteLogPage);
  EXPECT_EQ(log.Live(), Sequences{1});
}

TEST(WriteLogTest, ALostRecordThatWasDurableIsDamage) {
  for (const size_t lost : {0, 1, 2}) {
    Log log;
    size_t at = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t begin = log.Write(0);
      if (i == lost) at = begin;
    }
    log.Lose(0, at);
    EXPECT_EQ(log.Read().code(), Code::kCorrupt) << lost;
  }
}

TEST(WriteLogTest, ALostRecordOfTheOlderHalfIsDamageIfItCounts) {
  Log log;
  log.Write(0);
  const size_t at = log.Write(0);
  log.Write(1);
  log.Lose(0, at);
  EXPECT_EQ(log.Read().code(), Code::kCorrupt);
  log.live_from = 3;
  log.Put(1, {});
  EXPECT_EQ(log.Live(), Sequences{3});
}

TEST(WriteLogTest, ALostFirstRecordOfTheNewerHalfIsDamage) {
  Log log;
  log.Write(0);
  const size_t at = log.Write(1);
  log.Write(1);
  log.Lose(1, at);
  EXPECT_EQ(log.Read().code(), Code::kCorrupt);
}

TEST(WriteLogTest, AnotherOpeningsRecordsAreVoid) {
  Log log;
  log.opening = kOpening - 1;
  for (int i = 0; i < 3; ++i) log.Write(0);
  EXPECT_EQ(log.Live(), Sequences{});
  Log next;
  next.Write(0);
  const size_t fresh = next.halves[0].size();
  next.halves[0].insert(next.halves[0].end(), log.halves[0].begin() + static_cast<ptrdiff_t>(fresh),
                        log.halves[0].end());
  EXPECT_EQ(next.Live(), Sequences{1});
}

// Of more than a piece has.
TEST(WriteLogTest, LongRecordsAreSeenAsAWhole) {
  Log log;
  std::vector<JournalEntry> most;
  for (uint64_t i = 0; i < kMaxLoggedRuns; ++i) most.push_back(Own(2 * i));
  Sequences all;
  for (size_t half : {0, 0, 1, 1, 1}) {
    all.push_back(log.next);
    log.Put(half, most);
    all.push_back(log.next);
    log.Write(half);
  }
  EXPECT_EQ(log.Live(), all);
  // Far behind the end of its chain.
  const size_t at = log.Put(1, most);
  log.Put(1, most);
  log.Write(1);
  log.Lose(1, at, 2 * kMaxWriteLogRecord - 2 * (kMaxLoggedGrains - kMaxLoggedRuns) * kSubGrain);
  EXPECT_EQ(log.Read().code(), Code::kCorrupt);
}

// A guest writes what looks like records of its own log, into whose data they come.
TEST(WriteLogTest, DataThatLooksLikeRecordsCostsNoMoreThanItsBudget) {
  Log log;
  log.Write(0);
  Log fake;
  fake.next = 2;
  for (int i = 0; i < 40; ++i) {
    std::vector<JournalEntry> most;
    for (uint64_t j = 0; j < kMaxLoggedRuns; ++j) most.push_back(Own(2 * j));
    const size_t at = fake.Put(0, most);
    fake.halves[0].resize(at + kWriteLogPage);  // Its head alone.
  }
  log.halves[0].insert(log.halves[0].end(), fake.halves[0].begin(), fake.halves[0].end());
  log.halves[0].resize(8 * kMiB);
  EXPECT_EQ(log.Live(), Sequences{1});
}

TEST(WriteLogTest, RecordsOfADistantPastOrFutureAreNone) {
  Log log;
  log.Write(0);
  log.next = 2 + 2 * kWriteLogHalf / kWriteLogPage;
  log.Write(0);
  log.halves[0].resize(log.halves[0].size() + kWriteLogPage);
  EXPECT_EQ(log.Live(), Sequences{1});
}

}  // namespace
}  // namespace atl
