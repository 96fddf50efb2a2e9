// SPDX-License-Identifier: Apache-2.0
#include "peers/format/journal.h"

#include "peers/format/journal_batch.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

const LogId kLog = LogId::Journal(Uuid{{1, 2, 3}}, 4, 5);
const CacheIdentity kHere{.boot = {{9}}, .mount = 77, .trusted = true};
const CacheIdentity kNoProof{};

JournalEntry RandomEntry(RandomValues* random) {
  const uint64_t limit = kMaxVolumeSize / kSubGrain;
  const uint64_t first = random->In(0, limit - 1);
  return {.first = first,
          .count = random->In(1, limit - first),
          .change = random->Chance(2) ? JournalChange::kOwn : JournalChange::kZero};
}

// A journal that is written here and kept whole.
struct Journal {
  JournalWriter writer{kLog, kHere};
  Bytes bytes;
  std::vector<JournalEntry> entries;
  std::vector<uint64_t> ends;

  void Append(const Bytes& batch) {
    bytes.insert(bytes.end(), batch.begin(), batch.end());
    writer.Advance(batch);
    ends.push_back(bytes.size());
  }
  void Entries(std::vector<JournalEntry> added) {
    entries.insert(entries.end(), added.begin(), added.end());
    Append(writer.MakeEntries(added));
  }
  void Barrier(uint64_t covered) { Append(writer.MakeBarrier(covered)); }
};

TEST(Journal, EntriesReadBackInOrder) {
  RandomValues random;
  for (int round = 0; round < 50; ++round) {
    Journal journal;
    for (uint64_t batches = random.In(1, 20); batches > 0; --batches) {
      std::vector<JournalEntry> added(random.In(1, 50));
      for (JournalEntry& entry : added) entry = RandomEntry(&random);
      journal.Entries(added);
      if (random.Chance(3)) journal.Barrier(journal.writer.position());
    }
    const auto read = ReadPinnedJournal(kLog, journal.bytes, journal.bytes.size());
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->entries, journal.entries);
    EXPECT_EQ(read->length, journal.bytes.size());
    EXPECT_EQ(read->batches, journal.ends.size());
    EXPECT_EQ(journal.writer.position(), journal.bytes.size());
  }
}

TEST(Journal, SizesAreThoseOfTheFormat) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 2}, {.first = 7, .count = 1}});
  EXPECT_EQ(journal.bytes.size(), kJournalBatchHeader + 2 * kJournalEntryBytes);
  journal.Barrier(96);
  EXPECT_EQ(journal.bytes.size(), 160u);
  EXPECT_EQ(AsText(ConstSpan(journal.bytes).first(4)), "ATJB");
}

TEST(Journal, PinnedPrefixIsReadWhateverStandsBehindIt) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}});
  const uint64_t pinned = journal.bytes.size();
  journal.Entries({{.first = 2, .count = 1}});
  journal.bytes.resize(journal.bytes.size() - 1);
  const auto read = ReadPinnedJournal(kLog, journal.bytes, pinned);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->entries.size(), 1u);
  EXPECT_EQ(ReadPinnedJournal(kLog, journal.bytes, 0)->entries.size(), 0u);
}

TEST(Journal, PinnedLengthMustBeTheEndOfABatch) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}});
  journal.Entries({{.first = 2, .count = 1}});
  for (uint64_t length = 1; length < journal.bytes.size(); ++length) {
    EXPECT_EQ(ReadPinnedJournal(kLog, journal.bytes, length).ok(), length == journal.ends[0]);
  }
  const auto longer = ReadPinnedJournal(kLog, journal.bytes, journal.bytes.size() + 16);
  EXPECT_EQ(longer.code(), Code::kCorrupt);
  EXPECT_NE(longer.status().message().find(kLog.ToString()), std::string_view::npos);
}

TEST(Journal, FlippedBitsAndTruncationsArePinnedCorruption) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}, {.first = 9, .count = 3}});
  journal.Barrier(journal.bytes.size());
  journal.Entries({{.first = 4, .count = 1, .change = JournalChange::kZero}});
  const uint64_t length = journal.bytes.size();
  ExpectAllDamageRefused(journal.bytes, [&](const Bytes& bytes) {
    if (bytes.size() > length) return true;  // What stands behind does not matter.
    return ReadPinnedJournal(kLog, bytes, length).code() == Code::kCorrupt;
  });
}

TEST(Journal, FlippedBitsEndRecoveryBeforeTheirBatch) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}});
  journal.Entries({{.first = 2, .count = 1}});
  journal.Entries({{.first = 3, .count = 1}});
  for (size_t bit = 0; bit < journal.bytes.size() * 8; ++bit) {
    Bytes damaged = journal.bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const JournalContent content = RecoverJournal(kLog, damaged, kHere, true);
    ASSERT_EQ(content.entries.size(), bit / 8 / journal.ends[0]) << bit;
    ASSERT_EQ(content.length, bit / 8 / journal.ends[0] * journal.ends[0]);
    ASSERT_EQ(content.stopped.code(), Code::kCorrupt);
  }
}

TEST(Journal, BatchesOfAnotherJournalAreNotTakenForItsOwn) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}});
  const LogId others[] = {LogId::Journal(Uuid{{1, 2, 4}}, 4, 5), LogId::Journal(kLog.owner, 5, 5),
                          LogId::Journal(kLog.owner, 4, 6)};
  for (const LogId& other : others) {
    EXPECT_EQ(ReadPinnedJournal(other, journal.bytes, journal.bytes.size()).code(), Code::kCorrupt);
    EXPECT_EQ(RecoverJournal(other, journal.bytes, kHere, true).length, 0u);
  }
}

TEST(Journal, BatchesOfAnotherPlaceAreNotTakenForTheNext) {
  Journal journal;
  journal.Entries({{.first = 1, .count = 1}});
  journal.Entries({{.first = 2, .count = 1}});
  const size_t size = journal.ends[0];
  Bytes moved(journal.bytes.begin() + size, journal.bytes.end());
  EXPECT_EQ(RecoverJournal(kLog, moved, kHere, true).length, 0u);
  Bytes doubled(journal.bytes.begin(), journal.bytes.begin() + size);
  doubled.insert(doubled.end(), journal.bytes.begin(), journal.bytes.begin() + size);
  EXPECT_EQ(RecoverJournal(kLog, doubled, kHere, true).length, size);
}

TEST(Journal, ABatchThatFollowsAnotherOneThanStandsThereIsNotTaken) {
  Journal one;
  Journal two;
  one.Entries({{.first = 1, .count = 1}});
  two.Entries({{.first = 2, .count = 1}});
  const size_t size = one.bytes.size();
  two.Entries({{.first = 3, .count = 1}});
  Bytes spliced = one.bytes;
  spliced.insert(spliced.end(), two.bytes.begin() + size, two.bytes.end());
  EXPECT_EQ(RecoverJournal(kLog, spliced, kHere, true).length, size);
  EXPECT_EQ(ReadPinnedJournal(kLog, spliced, spliced.size()).code(), Code::kCorrupt);
}

TEST(Journal, ImpossibleBatchesAreCorruptUnderARightChecksum) {
  const uint32_t seed = ChainSeed(kLog);
  const JournalEntry entry{.first = 1, .count = 1};
  const BatchHeader header{.previous = seed, .cache = kHere};
  const Bytes good = EncodeBatch(seed, header, {&entry, 1});
  ASSERT_EQ(RecoverJournal(kLog, good, kHere, true).entries.size(), 1u);
  struct Change {
    size_t at;
    uint64_t value;
    size_t bytes;
  };
  const uint64_t own = uint64_t{1} << 56;
  const Change changes[] = {
      {9, 3, 1},                   // A kind that is unknown.
      {16, 16, 8},                 // A position that it does not stand at.
      {28, 1, 4},                  // Synced beyond itself.
      {56, 16, 8},                 // Entries that cover something.
      {64, own | 1ull << 38, 8},   // Behind the end of any map.
      {64, own | 1ull << 55, 8},   // Bits that must be zero.
      {64, 1, 8},                  // No change.
      {64, uint64_t{3} << 56, 8},  // A change that is unknown.
      {72, 0, 8},                  // Nothing.
      {72, 1ull << 38, 8},         // From 1 on, one too many.
      {72, UINT64_MAX, 8},         // Overflow.
  };
  for (const Change& change : changes) {
    Bytes bytes = good;
    std::memcpy(bytes.data() + change.at, &change.value, change.bytes);
    ResealBatch(seed, bytes);
    EXPECT_EQ(RecoverJournal(kLog, bytes, kHere, true).batches, 0u) << &change - changes;
    EXPECT_EQ(ReadPinnedJournal(kLog, bytes, bytes.size()).code(), Code::kCorrupt);
  }
}

TEST(Journal, ABarrierThatCoversItselfOrHalfABatchIsCorrupt) {
  const uint32_t seed = ChainSeed(kLog);
  for (const uint64_t covered : {uint64_t{16}, uint64_t{80 + 1}, uint64_t{80 + 64}, UINT64_MAX}) {
    Journal journal;
    journal.Entries({{.first = 1, .count = 1}});
    ASSERT_EQ(journal.bytes.size(), 80u);
    Bytes barrier = journal.writer.MakeBarrier(80);
    std::memcpy(barrier.data() + 56, &covered, sizeof(covered));
    ResealBatch(seed, barrier);
    journal.bytes.insert(journal.bytes.end(), barrier.begin(), barrier.end());
    const JournalContent content = RecoverJournal(kLog, journal.bytes, kNoProof, false);
    EXPECT_EQ(content.barrier_covered, 0u) << covered;
    EXPECT_EQ(content.length, 0u);
    EXPECT_EQ(ReadPinnedJournal(kLog, journal.bytes, journal.bytes.size()).code(), Code::kCorrupt);
  }
}

TEST(Journal, ANewerProgramsBatchIsUnsupportedAndNotTheQuietEnd) {
  const uint32_t seed = ChainSeed(kLog);
  for (const size_t at : {8, 10}) {
    Journal journal;
    journal.Entries({{.first = 1, .count = 1}});
    Bytes newer = journal.writer.MakeEntries(journal.entries);
    newer[at] = std::byte{2};
    ResealBatch(seed, newer);
    journal.bytes.insert(journal.bytes.end(), newer.begin(), newer.end());
    const JournalContent content = RecoverJournal(kLog, journal.bytes, kHere, false);
    EXPECT_EQ(content.stopped.code(), Code::kUnsupported);
    EXPECT_EQ(content.batches, 1u);
    EXPECT_EQ(ReadPinnedJournal(kLog, journal.bytes, journal.bytes.size()).code(),
              Code::kUnsupported);
  }
}

TEST(Journal, UntrustedIdentityIsWrittenAsZeros) {
  JournalWriter writer(kLog, {.boot = kHere.boot, .mount = kHere.mount, .trusted = false});
  const JournalEntry entry{.first = 1, .count = 1};
  const Bytes batch = writer.MakeEntries({&entry, 1});
  EXPECT_TRUE(IsAllZero(ConstSpan(batch).subspan(32, 24)));
  // Not even another identity of zeros that claims to be trusted proves it.
  EXPECT_EQ(RecoverJournal(kLog, batch, {.trusted = true}, false).batches, 0u);
}

TEST(Journal, NothingIsReadBehindItsCapacity) {
  RandomValues random;
  Journal journal;
  std::vector<JournalEntry> full(kMaxBatchEntries);
  for (JournalEntry& entry : full) entry = RandomEntry(&random);
  const size_t size = kJournalBatchHeader + full.size() * kJournalEntryBytes;
  while (journal.bytes.size() + size <= kJournalCapacity) journal.Entries(full);
  EXPECT_EQ(RecoverJournal(kLog, journal.bytes, kHere, false).entries.size(),
            journal.entries.size());
  journal.bytes.resize(2 * kJournalCapacity);
  EXPECT_EQ(RecoverJournal(kLog, journal.bytes, kHere, false).valid_length, journal.ends.back());
}

}  // namespace
}  // namespace atl
