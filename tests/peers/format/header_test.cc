// SPDX-License-Identifier: Apache-2.0
#include "peers/format/header.h"

#include "peers/format/journal.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

ReplayJournal RandomJournal(RandomValues* random, const Uuid& owner) {
  const uint64_t entries = random->In(0, 1000);
  return {.owner = owner,
          .epoch = static_cast<uint32_t>(random->In(0, 7)),
          .generation = static_cast<uint32_t>(random->In(0, 1u << 30)),
          .store = random->NewUuid(),
          .blob_store = random->NewUuid(),
          .length = kJournalBatchHeader + entries * kJournalEntryBytes,
          .entries = entries};
}

MapState RandomMap(RandomValues* random, const Uuid& own) {
  MapState map;
  if (!random->Chance(4)) {
    map.root = {.owner = random->Chance(2) ? own : random->NewUuid(),
                .sequence = static_cast<uint32_t>(random->In(1, 9)),
                .store = random->NewUuid(),
                .offset = random->In(0, kMaxNodeBlobBytes - kMaxRootBytes),
                .length = static_cast<uint32_t>(random->In(1, kMaxRootBytes)),
                .crc = static_cast<uint32_t>(random->Word())};
  }
  const uint64_t journals = random->In(0, kMaxReplayJournals);
  for (uint64_t i = 0; i < journals; ++i) {
    map.replay.push_back(RandomJournal(random, random->Chance(2) ? own : random->NewUuid()));
  }
  return map;
}

Header RandomVolume(RandomValues* random) {
  Header header{.uuid = random->NewUuid(),
                .name_space = random->NewUuid(),
                .name = random->Text(1, kMaxStoredName),
                .size = random->In(1, kMaxVolumeSize / kSector) * kSector,
                .logical_block = random->Chance(2) ? 512u : 4096u,
                .epoch = static_cast<uint32_t>(random->In(7, 1u << 31)),
                .epoch_store = random->NewUuid(),
                .generation = static_cast<uint32_t>(random->In(1u << 31, UINT32_MAX)),
                .begun = random->Chance(2),
                .sync_failed = random->Chance(2),
                .opening = static_cast<uint32_t>(random->In(0, 1u << 31)),
                .node_sequence = static_cast<uint32_t>(random->In(9, 99)),
                .refs = random->Word(),
                .parent = random->NewUuid(),
                .created_ns = static_cast<int64_t>(random->Word()),
                .modified_ns = static_cast<int64_t>(random->Word()),
                .read_only_reason = random->Text(0, 300),
                .encryption_key = random->Word()};
  header.flags.compat = static_cast<uint32_t>(random->Word());
  header.flags.read_only_compat = static_cast<uint32_t>(random->Word());
  header.map = RandomMap(random, header.uuid);
  if (random->Chance(2)) {
    header.pending = PendingOperation{.kind = static_cast<PendingKind>(random->In(1, 3)),
                                      .uuid = random->NewUuid(),
                                      .name = random->Text(1, kMaxStoredName),
                                      .size = header.size,
                                      .time_ns = static_cast<int64_t>(random->Word()),
                                      .map = RandomMap(random, header.uuid)};
  }
  return header;
}

// The smallest header of a live volume.
Header PlainVolume() {
  return {.uuid = {{1}}, .name = "v", .size = 512, .epoch = 1, .epoch_store = {{2}}};
}

void ExpectEqual(const Header& a, const Header& b) {
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.uuid, b.uuid);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.name_space, b.name_space);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.logical_block, b.logical_block);
  EXPECT_EQ(a.physical_block, b.physical_block);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.epoch_store, b.epoch_store);
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.begun, b.begun);
  EXPECT_EQ(a.sync_failed, b.sync_failed);
  EXPECT_EQ(a.opening, b.opening);
  EXPECT_EQ(a.node_sequence, b.node_sequence);
  EXPECT_EQ(a.map, b.map);
  EXPECT_EQ(a.refs, b.refs);
  EXPECT_EQ(a.pending, b.pending);
  EXPECT_EQ(a.parent, b.parent);
  EXPECT_EQ(a.created_ns, b.created_ns);
  EXPECT_EQ(a.modified_ns, b.modified_ns);
  EXPECT_EQ(a.read_only_reason, b.read_only_reason);
  EXPECT_EQ(a.encryption_key, b.encryption_key);
}

TEST(Header, ReadsBackAsWritten) {
  RandomValues random;
  for (int i = 0; i < 2000; ++i) {
    const Header header = RandomVolume(&random);
    const auto bytes = EncodeHeader(header);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    ASSERT_LE(bytes->size(), kMaxHeaderBytes);
    const auto read = DecodeHeader(*bytes, header.uuid);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    ExpectEqual(*read, header);
  }
}

TEST(Header, FitsWithEverythingAtItsLimit) {
  RandomValues random;
  Header header = RandomVolume(&random);
  header.name.assign(kMaxStoredName, 'n');
  header.read_only_reason.assign(kMaxReadOnlyReason, 'r');
  header.map.replay.clear();
  for (size_t i = 0; i < kMaxReplayJournals; ++i) {
    header.map.replay.push_back(RandomJournal(&random, random.NewUuid()));
  }
  header.pending = PendingOperation{
      .uuid = random.NewUuid(), .name = header.name, .size = header.size, .map = header.map};
  const auto bytes = EncodeHeader(header);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_LE(bytes->size(), kMaxHeaderBytes);
}

TEST(Header, RefusesMoreThanItsLimits) {
  RandomValues random;
  const auto code_with = [&](auto change) {
    Header header = PlainVolume();
    change(&header);
    return EncodeHeader(header).code();
  };
  EXPECT_EQ(code_with([](Header* h) { h->name.assign(kMaxStoredName + 1, 'n'); }), Code::kLimit);
  EXPECT_EQ(code_with([](Header* h) { h->read_only_reason.assign(kMaxReadOnlyReason + 1, 'r'); }),
            Code::kLimit);
  EXPECT_EQ(code_with([&](Header* h) {
              for (size_t i = 0; i <= kMaxReplayJournals; ++i) {
                h->map.replay.push_back(RandomJournal(&random, random.NewUuid()));
              }
            }),
            Code::kLimit);
  EXPECT_EQ(code_with([&](Header* h) {
              for (int i = 0; i < 2; ++i) {
                h->map.replay.push_back(RandomJournal(&random, random.NewUuid()));
                h->map.replay.back().length = kJournalCapacity;
                h->map.replay.back().entries = kMaxReplayEntries * 3 / 4;
              }
            }),
            Code::kLimit);
}

// What is pending is copied into a header of its own later, and would not fit there.
TEST(Header, AttackQ1APendingOperationHasTheSameLimits) {
  RandomValues random;
  const auto code_with = [&](auto change) {
    Header header = PlainVolume();
    header.pending = PendingOperation{
        .kind = PendingKind::kSnapshot, .uuid = {{7}}, .name = "s", .size = header.size};
    EXPECT_TRUE(EncodeHeader(header).ok());
    change(&*header.pending);
    return EncodeHeader(header).code();
  };
  EXPECT_EQ(code_with([](PendingOperation* p) { p->name.assign(kMaxStoredName + 1, 'n'); }),
            Code::kLimit);
  EXPECT_EQ(code_with([&](PendingOperation* p) {
              for (size_t i = 0; i <= kMaxReplayJournals; ++i) {
                p->map.replay.push_back(RandomJournal(&random, random.NewUuid()));
              }
            }),
            Code::kLimit);
}

TEST(Header, RefusesWhatCannotBe) {
  const auto code_with = [&](auto change) {
    Header header = PlainVolume();
    header.generation = 5;
    header.map.replay = {{.owner = header.uuid,
                          .epoch = 1,
                          .generation = 4,
                          .store = {{2}},
                          .blob_store = {{2}},
                          .length = 80,
                          .entries = 1}};
    header.node_sequence = 2;
    header.map.root = {
        .owner = header.uuid, .sequence = 2, .store = {{2}}, .offset = 100, .length = 100};
    EXPECT_TRUE(EncodeHeader(header).ok());
    change(&header);
    return EncodeHeader(header).code();
  };
  const auto bad = Code::kInvalid;
  EXPECT_EQ(code_with([](Header* h) { h->uuid = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->kind = HeaderKind{9}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->state = HeaderState{0}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->name = ""; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->size = 0; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->size = 511; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->size = kMaxVolumeSize + 512; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->logical_block = 1024; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->logical_block = 4096, h->physical_block = 512; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->epoch = 0; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->epoch_store = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->kind = HeaderKind::kSnapshot; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.length = 0; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.length = kMaxRootBytes + 1; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.offset = kMaxNodeBlobBytes; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.owner = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.sequence = 0; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.root.sequence = 3; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].owner = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].store = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].blob_store = {}; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].length = 81; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].length = 48; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].length = kJournalCapacity + 16; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].entries = 2; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay.push_back(h->map.replay[0]); }), bad);
  // The current journal has no length that counts yet.
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].generation = 5; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->map.replay[0].epoch = 2; }), bad);
  EXPECT_EQ(code_with([](Header* h) { h->pending.emplace(); }), bad);
  EXPECT_EQ(code_with([](Header* h) {
              h->pending = PendingOperation{.kind = PendingKind{4}, .uuid = {{7}}};
            }),
            bad);
}

TEST(Header, TombstoneNeedsNeitherNameNorSize) {
  const Header header{.uuid = {{1}}, .state = HeaderState::kRemoved};
  const auto bytes = EncodeHeader(header);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_TRUE(DecodeHeader(*bytes, header.uuid).ok());
}

TEST(Header, FlippedBitsAndTruncationsAreCorrupt) {
  RandomValues random;
  const Header header = RandomVolume(&random);
  ExpectAllDamageRefused(*EncodeHeader(header), [&](const Bytes& bytes) {
    return DecodeHeader(bytes, header.uuid).code() == Code::kCorrupt;
  });
}

TEST(Header, OfAnotherResourceIsCorrupt) {
  const Header header = PlainVolume();
  const auto read = DecodeHeader(*EncodeHeader(header), Uuid{{3}});
  EXPECT_EQ(read.code(), Code::kCorrupt);
  EXPECT_NE(read.status().message().find(Uuid{{3}}.ToString()), std::string_view::npos);
}

}  // namespace
}  // namespace atl
