// SPDX-License-Identifier: Apache-2.0
#include "peers/map/root.h"

#include "peers/format/checked.h"
#include "peers/format/header.h"
#include "peers/map/node_header.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

const NodePlace kPlace{LogId::Nodes(Uuid{{5}}, 3), 4096};

Root RandomRoot(RandomValues* random, size_t sources) {
  Root root;
  std::vector<Uuid> owners(random->In(1, 10));
  std::vector<Uuid> stores(random->In(1, 3));
  for (Uuid& owner : owners) owner = random->NewUuid();
  for (Uuid& store : stores) store = random->NewUuid();
  for (size_t i = 0; i < sources; ++i) {
    root.next_index += static_cast<uint32_t>(random->In(0, 14));
    Source source{.type = static_cast<SourceType>(random->In(1, 3)),
                  .flags = static_cast<uint8_t>(random->In(0, 1)),
                  .owner = owners[random->In(0, owners.size() - 1)],
                  .epoch = static_cast<uint32_t>(random->Word()),
                  .store = stores[random->In(0, stores.size() - 1)],
                  .count = random->In(0, kMapGrains / kMaxSources)};
    if (source.type != SourceType::kNodes) {
      source.instance = static_cast<uint16_t>(random->In(0, 3));
    }
    root.sources[static_cast<SourceIndex>(root.next_index++)] = source;
  }
  for (const auto& [index, source] : root.sources) {
    if (!random->Chance(3)) continue;
    root.top = source.type == SourceType::kNodes
                   ? NodePointer::Node(index, random->In(0, 1ull << 46))
                   : NodePointer::Uniform(index);
  }
  return root;
}

Root SmallRoot() {
  Root root;
  root.sources[1] = {.owner = {{1}}, .epoch = 1, .store = {{9}}, .count = 100};
  root.sources[2] = {.type = SourceType::kNodes, .owner = {{1}}, .epoch = 1, .store = {{9}}};
  root.next_index = 3;
  root.top = NodePointer::Node(2, 0);
  return root;
}

Result<Root> Decoded(const Bytes& bytes, const NodePlace& place = kPlace) {
  return DecodeRoot(bytes, place, RootChecksum(bytes));
}

TEST(Root, ReadsBackAsWritten) {
  RandomValues random;
  for (int round = 0; round < 300; ++round) {
    const Root root = RandomRoot(&random, random.In(0, 200));
    const auto bytes = EncodeRoot(root, kPlace);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    const auto read = Decoded(*bytes);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->top, root.top);
    EXPECT_EQ(read->next_index, root.next_index);
    EXPECT_EQ(read->sources, root.sources);
  }
}

TEST(AttackS4, FiveHundredSourcesTakeUnderSixteenKiB) {
  RandomValues random;
  const auto bytes = EncodeRoot(RandomRoot(&random, 500), kPlace);
  ASSERT_TRUE(bytes.ok());
  EXPECT_LT(bytes->size(), 16 * kKiB);
}

TEST(AttackS4, TheLimitOfSourcesHasRoomAndAnError) {
  RandomValues random;
  Root root = RandomRoot(&random, kMaxSources);
  // At worst each has an owner and a store of its own.
  for (auto& [index, source] : root.sources) {
    source.owner = random.NewUuid();
    source.store = random.NewUuid();
  }
  const auto bytes = EncodeRoot(root, kPlace);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_LE(bytes->size(), kMaxRootBytes);
  EXPECT_EQ(Decoded(*bytes)->sources, root.sources);
  root.sources[static_cast<SourceIndex>(root.next_index++)] = {.owner = {{1}}};
  EXPECT_EQ(EncodeRoot(root, kPlace).code(), Code::kLimit);
}

TEST(Root, EveryIndexMayHaveBeenUsed) {
  Root root = SmallRoot();
  root.sources[65535] = {.owner = {{1}}};
  root.next_index = kMaxSourceIndex + 1;
  EXPECT_EQ(Decoded(*EncodeRoot(root, kPlace))->sources, root.sources);
}

TEST(Root, FlippedBitsAndTruncationsAreCorrupt) {
  const Bytes encoded = *EncodeRoot(SmallRoot(), kPlace);
  const uint32_t checksum = RootChecksum(encoded);
  ExpectAllDamageRefused(encoded, [&](const Bytes& bytes) {
    return DecodeRoot(bytes, kPlace, checksum).code() == Code::kCorrupt;
  });
}

TEST(Root, MisplacedOnesAreFoundOutAndNamed) {
  const Bytes bytes = *EncodeRoot(SmallRoot(), kPlace);
  const NodePlace other{LogId::Nodes(Uuid{{5}}, 4), 4096};
  EXPECT_EQ(Decoded(bytes, {kPlace.log, 0}).code(), Code::kCorrupt);
  const auto read = Decoded(bytes, other);
  EXPECT_EQ(read.code(), Code::kCorrupt);
  EXPECT_NE(read.status().message().find(other.log.ToString()), std::string_view::npos);
}

TEST(Root, IsNotTheOneThatTheHeaderNames) {
  const Bytes bytes = *EncodeRoot(SmallRoot(), kPlace);
  EXPECT_EQ(DecodeRoot(bytes, kPlace, RootChecksum(bytes) + 1).code(), Code::kCorrupt);
}

TEST(Root, RefusesWhatCannotBe) {
  const auto code_with = [](auto change) {
    Root root = SmallRoot();
    change(&root);
    return EncodeRoot(root, kPlace).code();
  };
  EXPECT_EQ(code_with([](Root*) {}), Code::kOk);
  const auto bad = Code::kInvalid;
  EXPECT_EQ(code_with([](Root* r) { r->next_index = 2; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->next_index = 65537; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[0] = r->sources[1]; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[1].type = SourceType{4}; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[1].owner = {}; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[2].instance = 1; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[1].count = kMapGrains + 1; }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->sources[1].flags = 2; }), Code::kUnsupported);
  EXPECT_EQ(code_with([](Root* r) { r->top = NodePointer::FromRaw(1 << 20); }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->top = NodePointer::Node(3, 0); }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->top = NodePointer::Node(1, 0); }), bad);
  EXPECT_EQ(code_with([](Root* r) { r->top = NodePointer::Uniform(2); }), bad);
  EXPECT_EQ(code_with([](Root* r) {
              r->sources[1].count = kMapGrains;
              r->next_index = 4;
              r->sources[3] = {.type = SourceType::kManifest, .owner = {{1}}, .count = 1};
            }),
            bad);
}

TEST(Root, ImpossibleBytesAreCorruptUnderARightChecksum) {
  // Behind 24 bytes of header: top, next index, table sizes, an owner, a store, the entries.
  const auto with = [](size_t at, uint8_t value) {
    Encoder out;
    out.Raw(*EncodeRoot(SmallRoot(), kPlace));
    out.PatchAt(at, value);
    out.PatchAt(kEnvelopeBytes, uint32_t{0});
    return Decoded(FinishChecked(&out, SeedOf(kPlace))).code();
  };
  constexpr size_t kFirstEntry = 24 + 8 + 4 + 2 + 2 + 4 + 16 + 16;
  EXPECT_EQ(with(24 + 13, 1), Code::kCorrupt);           // More owners than sources.
  EXPECT_EQ(with(24 + 18, 1), Code::kCorrupt);           // More sources than there may be.
  EXPECT_EQ(with(24 + 16, 3), Code::kCorrupt);           // More than there are bytes.
  EXPECT_EQ(with(24 + 16, 1), Code::kCorrupt);           // Less.
  EXPECT_EQ(with(kFirstEntry + 12, 2), Code::kCorrupt);  // Two of the same index.
  EXPECT_EQ(with(kFirstEntry + 16, 1), Code::kCorrupt);  // An owner that is not in the table.
  EXPECT_EQ(with(kFirstEntry + 18, 1), Code::kCorrupt);  // A store that is not.
  EXPECT_EQ(with(kFirstEntry + 20, 9), Code::kCorrupt);  // A type that is unknown.
  EXPECT_EQ(with(kFirstEntry + 22, 1), Code::kCorrupt);  // Reserved.
  EXPECT_EQ(with(kFirstEntry + 8, 5), Code::kOk);        // Another epoch.
}

}  // namespace
}  // namespace atl
