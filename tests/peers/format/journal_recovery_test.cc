// SPDX-License-Identifier: Apache-2.0
//
// What counts of a journal after an unclean end.
#include "peers/format/journal.h"
#include "peers/format/journal_batch.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

const LogId kLog = LogId::Journal(Uuid{{1, 2, 3}}, 4, 5);
const CacheIdentity kHere{.boot = {{9}}, .mount = 77, .trusted = true};
const CacheIdentity kRebooted{.boot = {{10}}, .mount = 77, .trusted = true};
const CacheIdentity kRemounted{.boot = {{9}}, .mount = 78, .trusted = true};
const CacheIdentity kUntrusted{.boot = {{9}}, .mount = 77, .trusted = false};
constexpr uint64_t kOne = kJournalBatchHeader + kJournalEntryBytes;

// Batches of one entry each, whose first sub-grain is their number.
struct Journal {
  explicit Journal(const CacheIdentity& cache = kHere, const LogId& log = kLog)
      : writer(log, cache) {}
  JournalWriter writer;
  Bytes bytes;
  uint64_t next = 0;

  void Append(const Bytes& batch) {
    bytes.insert(bytes.end(), batch.begin(), batch.end());
    writer.Advance(batch);
  }
  uint64_t Write(int batches = 1) {
    for (; batches > 0; --batches) {
      const JournalEntry entry{.first = next++, .count = 1};
      Append(writer.MakeEntries({&entry, 1}));
    }
    return bytes.size();
  }
  void Barrier(uint64_t covered) { Append(writer.MakeBarrier(covered)); }
  // A FLUSH during which nothing else happens.
  void Flush() {
    const uint64_t position = writer.position();
    Barrier(position);
    writer.NoteSynced(writer.position());
  }
  // A page of the log that never reached the medium.
  void Lose(uint64_t from, uint64_t to) {
    std::fill(bytes.begin() + from, bytes.begin() + to, std::byte{0});
  }
};

struct Counted {
  uint64_t entries;
  uint64_t length;
  friend bool operator==(const Counted&, const Counted&) = default;
};
std::ostream& operator<<(std::ostream& out, const Counted& counted) {
  return out << counted.entries << " entries in " << counted.length;
}
Counted Recovered(const Bytes& bytes, const CacheIdentity& cache, bool durable_at_ack = false) {
  const JournalContent content = RecoverJournal(kLog, bytes, cache, durable_at_ack);
  for (size_t i = 0; i < content.entries.size(); ++i) EXPECT_EQ(content.entries[i].first, i);
  // What was recovered may be pinned.
  const auto pinned = ReadPinnedJournal(kLog, bytes, content.length);
  EXPECT_TRUE(pinned.ok()) << pinned.status().ToString();
  if (pinned.ok()) EXPECT_EQ(pinned->entries, content.entries);
  return {content.entries.size(), content.length};
}

TEST(RecoverJournal, TakesNothingFromNothing) {
  EXPECT_EQ(Recovered({}, kHere), (Counted{0, 0}));
  EXPECT_EQ(Recovered(Bytes(4096), kHere), (Counted{0, 0}));
  const JournalContent content = RecoverJournal(kLog, Bytes(4096), kHere, true);
  EXPECT_FALSE(content.damaged);
  EXPECT_EQ(content.valid_length, 0u);
}

TEST(RecoverJournal, SameCacheCountsAllThatWasAppended) {
  Journal journal;
  const uint64_t end = journal.Write(5);
  EXPECT_EQ(Recovered(journal.bytes, kHere), (Counted{5, end}));
}

TEST(RecoverJournal, TornLastBatchIsNotCounted) {
  for (uint64_t kept = 0; kept < kOne; ++kept) {
    Journal journal;
    const uint64_t whole = journal.Write(2);
    journal.Write();
    journal.Lose(whole + kept, journal.bytes.size());
    // The last bytes of an entry are zeros, so losing those changes nothing.
    const bool same = RecoverJournal(kLog, journal.bytes, kHere, false).batches == 3;
    EXPECT_EQ(same, kept > kOne - 8) << kept;
    if (!same) EXPECT_EQ(Recovered(journal.bytes, kHere), (Counted{2, whole}));
  }
}

TEST(AttackF7, LostCacheCountsOnlyWhatTheLastBarrierCovers) {
  Journal journal;
  journal.Write(3);
  const uint64_t covered = journal.bytes.size();
  journal.Flush();
  journal.Write(4);
  for (const CacheIdentity& cache : {kRebooted, kUntrusted, CacheIdentity{}}) {
    EXPECT_EQ(Recovered(journal.bytes, cache), (Counted{3, covered}));
  }
  EXPECT_EQ(Recovered(journal.bytes, kHere), (Counted{7, journal.bytes.size()}));
  EXPECT_EQ(Recovered(journal.bytes, kRebooted, true), (Counted{7, journal.bytes.size()}));
}

// The write's entry reached the medium, its data did not: it must read as before the write.
TEST(AttackF7, UnflushedEntryWithoutBarrierIsNotBelievedAfterPowerLoss) {
  Journal journal;
  journal.Write(3);
  EXPECT_EQ(Recovered(journal.bytes, kRebooted), (Counted{0, 0}));
}

// A first write that completes during the data sync puts its batch before the barrier, unsynced.
TEST(AttackF7, BarrierDoesNotCoverWhatCompletedDuringItsSync) {
  Journal journal;
  const uint64_t noted = journal.Write(2);
  journal.Write(3);
  journal.Barrier(noted);
  EXPECT_EQ(Recovered(journal.bytes, kRebooted), (Counted{2, noted}));
  EXPECT_EQ(RecoverJournal(kLog, journal.bytes, kRebooted, false).valid_length,
            journal.bytes.size());
}

TEST(AttackF7, OverlappingFlushesKeepTheFurthestPromise) {
  Journal journal;
  const uint64_t early = journal.Write(2);
  const uint64_t late = journal.Write(2);
  journal.Barrier(late);
  journal.Barrier(early);
  EXPECT_EQ(Recovered(journal.bytes, kRebooted), (Counted{4, late}));
}

TEST(AttackF7, BarrierBeyondALostPageIsNotBelieved) {
  Journal journal;
  const uint64_t first = journal.Write(2);
  journal.Flush();
  const uint64_t hole = journal.bytes.size();
  journal.Write(1);
  const uint64_t behind = journal.bytes.size();
  journal.Write(1);
  journal.Barrier(journal.writer.position());  // Its sync never completed.
  journal.Lose(hole, behind);
  EXPECT_EQ(Recovered(journal.bytes, kRebooted), (Counted{2, first}));
  const JournalContent content = RecoverJournal(kLog, journal.bytes, kRebooted, false);
  EXPECT_EQ(content.valid_length, hole);
  EXPECT_FALSE(content.damaged);
}

TEST(AttackF7, EveryLossOfUnsyncedPagesKeepsAllThatWasFlushed) {
  RandomValues random;
  for (int round = 0; round < 300; ++round) {
    Journal journal;
    uint64_t flushed = 0;
    uint64_t durable = 0;
    for (uint64_t steps = random.In(0, 40); steps > 0; --steps) {
      journal.Write(static_cast<int>(random.In(1, 5)));
      if (!random.Chance(4)) continue;
      flushed = journal.next;
      journal.Flush();
      durable = journal.bytes.size();
    }
    const uint64_t page = 128;
    for (uint64_t at = durable; at < journal.bytes.size(); at += page) {
      if (random.Chance(3)) journal.Lose(at, std::min(at + page, journal.bytes.size()));
    }
    const JournalContent content = RecoverJournal(kLog, journal.bytes, kRebooted, false);
    ASSERT_EQ(content.entries.size(), flushed);
    ASSERT_FALSE(content.damaged);
    ASSERT_EQ(Recovered(journal.bytes, kRebooted).entries, flushed);
    ASSERT_GE(Recovered(journal.bytes, kHere).entries, flushed);
  }
}

// Power loss cannot take what was synced: then the medium has lost it, and that is said.
TEST(RecoverJournal, NamesDamageInWhatWasSynced) {
  Journal journal;
  journal.Write(4);
  journal.Flush();
  const uint64_t synced = journal.bytes.size();
  journal.Write(2);
  for (uint64_t at = 0; at < synced; at += 8) {
    Journal damaged = journal;
    damaged.bytes[at] ^= std::byte{0x40};
    const JournalContent content = RecoverJournal(kLog, damaged.bytes, kRebooted, false);
    EXPECT_TRUE(content.damaged) << at;
    EXPECT_EQ(content.stopped.code(), Code::kCorrupt);
    EXPECT_NE(content.stopped.message().find(kLog.ToString()), std::string_view::npos);
  }
  journal.Lose(synced, synced + kOne);
  EXPECT_FALSE(RecoverJournal(kLog, journal.bytes, kRebooted, false).damaged);
}

TEST(RecoverJournal, LooksForDamageInBoundedTime) {
  // Each piece looks like a batch with the most entries there may be, until it is summed up.
  Bytes bytes(kJournalCapacity);
  for (uint64_t at = 0; at + kJournalBatchHeader <= bytes.size(); at += kJournalBatchHeader) {
    Encoder out;
    out.Put(kBatchMagic);
    out.Put(uint32_t{0});
    out.Put(uint8_t{1});
    out.Put(uint8_t{1});
    out.Zeros(2);
    out.Put(static_cast<uint32_t>(kMaxBatchEntries * kJournalEntryBytes));
    out.Put(at);
    std::copy(out.view().begin(), out.view().end(), bytes.begin() + at);
  }
  const JournalContent content = RecoverJournal(kLog, bytes, kHere, true);
  EXPECT_EQ(content.batches, 0u);
  EXPECT_FALSE(content.damaged);
}

// The same writes repeated in a reused journal would make byte-identical batches, whose chain
// accepts what an older life left behind them. Names are never reused, and batches know theirs.
TEST(AttackR9, SameWritesInTheNextGenerationMakeOtherBatches) {
  const LogId next = LogId::Journal(kLog.owner, kLog.epoch, kLog.generation + 1);
  Journal old;
  old.Write(5);
  Journal fresh(kHere, next);
  fresh.Write(2);
  EXPECT_NE(Bytes(old.bytes.begin(), old.bytes.begin() + fresh.bytes.size()), fresh.bytes);
  Bytes reused = old.bytes;
  std::copy(fresh.bytes.begin(), fresh.bytes.end(), reused.begin());
  const JournalContent content = RecoverJournal(next, reused, kHere, true);
  EXPECT_EQ(content.length, fresh.bytes.size());
  EXPECT_EQ(content.entries.size(), 2u);
}

// Within a generation the same bytes come out, so a failed append may be repeated.
TEST(AttackM12, RepeatedAppendIsByteForByteTheSame) {
  Journal journal;
  journal.Write(2);
  const JournalEntry entry{.first = 2, .count = 1};
  EXPECT_EQ(journal.writer.MakeEntries({&entry, 1}), journal.writer.MakeEntries({&entry, 1}));
}

TEST(AttackM12, NothingBehindABadBatchIsCounted) {
  Journal journal;
  const uint64_t good = journal.Write(2);
  const uint64_t bad = journal.Write(1);
  journal.Write(3);
  journal.Lose(bad - 32, bad);
  EXPECT_EQ(Recovered(journal.bytes, kHere, true), (Counted{2, good}));
}

// A file system that was shut down by an error and mounted again has lost its cache under the same
// boot id; only a mount identity that is never used again tells, and without one nothing does.
TEST(AttackR11, SameBootWithAnotherMountProvesNothing) {
  Journal journal;
  const uint64_t covered = journal.Write(1);
  journal.Flush();
  journal.Write(2);
  EXPECT_EQ(Recovered(journal.bytes, kRemounted), (Counted{1, covered}));
}

TEST(AttackR11, UntrustedIdentityProvesNothingOnEitherSide) {
  Journal untrusted(kUntrusted);
  const uint64_t covered = untrusted.Write(1);
  untrusted.Flush();
  untrusted.Write(2);
  for (const CacheIdentity& cache : {kHere, kUntrusted, CacheIdentity{.trusted = true}}) {
    EXPECT_EQ(Recovered(untrusted.bytes, cache), (Counted{1, covered}));
  }
  Journal trusted;
  trusted.Write(3);
  EXPECT_EQ(Recovered(trusted.bytes, kUntrusted), (Counted{0, 0}));
}

// Batches that were not believed after a reboot would be revived by the next barrier that somebody
// appends behind them. A barrier of another life is not the next batch.
TEST(AttackM0, BarrierOfALaterLifeDoesNotReviveWhatWasNotBelieved) {
  Journal journal;
  const uint64_t covered = journal.Write(1);
  journal.Flush();
  const uint64_t end = journal.Write(2);
  uint32_t last = 0;
  std::memcpy(&last, journal.bytes.data() + end - kOne + 4, sizeof(last));
  const BatchHeader header{.kind = BatchKind::kBarrier,
                           .position = end,
                           .previous = last,
                           .cache = kRebooted,
                           .covered = end};
  const Bytes barrier = EncodeBatch(ChainSeed(kLog), header, {});
  journal.bytes.insert(journal.bytes.end(), barrier.begin(), barrier.end());
  EXPECT_EQ(Recovered(journal.bytes, kRebooted), (Counted{1, covered}));
  EXPECT_EQ(RecoverJournal(kLog, journal.bytes, kRebooted, true).valid_length, end);
}

// What recovery pins is all that the map counts, whatever is appended behind it later.
TEST(AttackM0, PinnedLengthKeepsOutWhatStandsBehindIt) {
  Journal journal;
  const uint64_t pinned = journal.Write(2);
  journal.Flush();
  journal.Write(2);
  const auto content = ReadPinnedJournal(kLog, journal.bytes, pinned);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(content->entries.size(), 2u);
  EXPECT_EQ(content->barrier_covered, 0u);
}

}  // namespace
}  // namespace atl
