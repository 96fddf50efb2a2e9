// SPDX-License-Identifier: Apache-2.0
#include "peers/map/node.h"

#include <bit>

#include "peers/map/node_header.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

const NodePlace kPlace{LogId::Nodes(Uuid{{5}}, 3), 4711};

// Every source of `distinct` stands somewhere.
Leaf LeafOf(RandomValues* random, size_t distinct) {
  std::vector<SourceIndex> sources;
  while (sources.size() < distinct) {
    const auto source = static_cast<SourceIndex>(random->In(0, 65535));
    if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
      sources.push_back(source);
    }
  }
  Leaf leaf;
  for (size_t i = 0; i < kLeafGrains; ++i) {
    leaf.sources[i] = sources[i < distinct ? i : random->In(0, distinct - 1)];
  }
  return leaf;
}

Inner RandomInner(RandomValues* random) {
  Inner inner;
  const uint64_t kinds = random->In(1, 5);
  for (NodePointer& child : inner.children) {
    child = random->Chance(2)
                ? NodePointer::Node(static_cast<SourceIndex>(random->In(1, 65535)),
                                    random->In(0, (1ull << 47) - 1))
                : NodePointer::Uniform(static_cast<SourceIndex>(random->In(0, kinds)));
  }
  return inner;
}

Bytes Encoded(const Leaf& leaf, uint64_t first = 512, const NodePlace& place = kPlace) {
  Encoder out;
  EncodeLeaf(leaf, first, place, &out);
  return out.Take();
}
Bytes Encoded(const Inner& inner, int level = 2, uint64_t first = SpanOf(2) * 3,
              const NodePlace& place = kPlace) {
  Encoder out;
  EncodeInner(inner, level, first, place, &out);
  return out.Take();
}
// As if a writer of ours had made these bytes.
void Reseal(Bytes* node) {
  Encoder out;
  out.Raw(*node);
  FinishNode(&out, 0, kPlace);
  *node = out.Take();
}

TEST(NodePointer, KeepsItsPartsApart) {
  const NodePointer node = NodePointer::Node(65535, (1ull << 47) - 1);
  EXPECT_TRUE(node.is_node() && node.is_valid());
  EXPECT_EQ(node.blob(), 65535);
  EXPECT_EQ(node.offset(), (1ull << 47) - 1);
  EXPECT_EQ(NodePointer::Node(1, 0).offset(), 0u);
  EXPECT_EQ(NodePointer::Node(1, 0).blob(), 1);
  EXPECT_EQ(NodePointer::Uniform(65535).source(), 65535);
  EXPECT_FALSE(NodePointer::FromRaw(65536).is_valid());
}

TEST(Leaf, ReadsBackWithAnyNumberOfSources) {
  RandomValues random;
  for (int round = 0; round < 3; ++round) {
    for (size_t distinct = 1; distinct <= kLeafGrains; ++distinct) {
      const Leaf leaf = LeafOf(&random, distinct);
      const Bytes bytes = Encoded(leaf);
      ASSERT_EQ(*NodeLength(ConstSpan(bytes).first(kNodeHeaderBytes)), bytes.size());
      const auto read = DecodeLeaf(bytes, 512, kPlace);
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      ASSERT_EQ(read->sources, leaf.sources) << distinct;
    }
  }
}

TEST(Leaf, TakesTheSizesOfTheFormat) {
  RandomValues random;
  EXPECT_EQ(Encoded(LeafOf(&random, 1)).size(), 52u);
  EXPECT_EQ(Encoded(LeafOf(&random, 2)).size(), 52u);
  EXPECT_EQ(Encoded(LeafOf(&random, 3)).size(), 88u);
  EXPECT_EQ(Encoded(LeafOf(&random, 4)).size(), 88u);
  EXPECT_EQ(Encoded(LeafOf(&random, 5)).size(), 176u);
  EXPECT_EQ(Encoded(LeafOf(&random, 16)).size(), 176u);
  EXPECT_EQ(Encoded(LeafOf(&random, 17)).size(), 528u);
  EXPECT_EQ(Encoded(LeafOf(&random, 256)).size(), 528u);
}

TEST(Inner, ReadsBackAndTakesEightBytesForEachOtherChild) {
  RandomValues random;
  for (int round = 0; round < 1000; ++round) {
    const Inner inner = RandomInner(&random);
    const Bytes bytes = Encoded(inner);
    size_t commonest = 0;
    for (const NodePointer child : inner.children) {
      if (child.is_node()) continue;
      const auto same = std::count(inner.children.begin(), inner.children.end(), child);
      commonest = std::max(commonest, static_cast<size_t>(same));
    }
    ASSERT_EQ(bytes.size(), 32 + 8 * (kFanout - commonest));
    ASSERT_LE(bytes.size(), kMaxNodeBytes);
    ASSERT_EQ(*NodeLength(bytes), bytes.size());
    const auto read = DecodeInner(bytes, 2, SpanOf(2) * 3, kPlace);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    ASSERT_EQ(read->children, inner.children);
  }
}

TEST(Inner, WithNothingButNodesIsTheLargestNode) {
  Inner inner;
  for (size_t i = 0; i < kFanout; ++i) inner.children[i] = NodePointer::Node(1, i);
  const Bytes bytes = Encoded(inner);
  EXPECT_EQ(bytes.size(), kMaxNodeBytes);
  EXPECT_EQ(DecodeInner(bytes, 2, SpanOf(2) * 3, kPlace)->children, inner.children);
}

TEST(Nodes, StandBehindEachOtherInOneEncoder) {
  RandomValues random;
  const Leaf leaf = LeafOf(&random, 9);
  const Inner inner = RandomInner(&random);
  Encoder out;
  EncodeLeaf(leaf, 0, {kPlace.log, 0}, &out);
  const size_t second = out.size();
  EncodeInner(inner, kTopLevel, 0, {kPlace.log, second}, &out);
  const size_t length = *NodeLength(out.view());
  ASSERT_EQ(length, second);
  EXPECT_EQ(DecodeLeaf(out.view().first(length), 0, {kPlace.log, 0})->sources, leaf.sources);
  EXPECT_EQ(DecodeInner(out.view().subspan(second), kTopLevel, 0, {kPlace.log, second})->children,
            inner.children);
}

TEST(Nodes, KnowWhenTheyAreUniform) {
  SourceIndex source = 0;
  Leaf leaf;
  leaf.sources.fill(7);
  EXPECT_TRUE(IsUniform(leaf, &source));
  EXPECT_EQ(source, 7);
  leaf.sources[255] = 8;
  EXPECT_FALSE(IsUniform(leaf, &source));
  Inner inner;
  inner.children.fill(NodePointer::Uniform(9));
  EXPECT_TRUE(IsUniform(inner, &source));
  EXPECT_EQ(source, 9);
  inner.children[63] = NodePointer::Uniform(0);
  EXPECT_FALSE(IsUniform(inner, &source));
  // The same node for all children is no source.
  inner.children.fill(NodePointer::Node(9, 0));
  EXPECT_FALSE(IsUniform(inner, &source));
}

TEST(Nodes, FlippedBitsAndTruncationsAreCorruptAndNamed) {
  RandomValues random;
  for (const size_t distinct : {2, 4, 16, 17}) {
    ExpectAllDamageRefused(Encoded(LeafOf(&random, distinct)), [&](const Bytes& bytes) {
      const auto read = DecodeLeaf(bytes, 512, kPlace);
      return read.code() == Code::kCorrupt &&
             read.status().message().find(kPlace.log.ToString()) != std::string_view::npos;
    });
  }
  ExpectAllDamageRefused(Encoded(RandomInner(&random)), [&](const Bytes& bytes) {
    return DecodeInner(bytes, 2, SpanOf(2) * 3, kPlace).code() == Code::kCorrupt;
  });
}

TEST(Nodes, MisplacedOnesAreFoundOut) {
  RandomValues random;
  const Bytes leaf = Encoded(LeafOf(&random, 3));
  const NodePlace places[] = {{kPlace.log, kPlace.offset + 1},
                              {LogId::Nodes(kPlace.log.owner, 4), kPlace.offset},
                              {LogId::Nodes(Uuid{{6}}, 3), kPlace.offset},
                              {LogId::Journal(kPlace.log.owner, 3, 0), kPlace.offset}};
  for (const NodePlace& place : places) {
    EXPECT_EQ(DecodeLeaf(leaf, 512, place).code(), Code::kCorrupt);
  }
  EXPECT_EQ(DecodeLeaf(leaf, 768, kPlace).code(), Code::kCorrupt);
  const Bytes inner = Encoded(RandomInner(&random));
  EXPECT_EQ(DecodeInner(inner, 2, SpanOf(2) * 4, kPlace).code(), Code::kCorrupt);
  EXPECT_EQ(DecodeInner(inner, 1, SpanOf(2) * 3, kPlace).code(), Code::kCorrupt);
  EXPECT_EQ(DecodeLeaf(inner, SpanOf(2) * 3, kPlace).code(), Code::kCorrupt);
  EXPECT_EQ(DecodeInner(leaf, 2, 512, kPlace).code(), Code::kCorrupt);
  EXPECT_EQ(DecodeInner(leaf, 0, 512, kPlace).code(), Code::kCorrupt);
}

TEST(Nodes, ImpossibleContentIsCorruptUnderARightChecksum) {
  RandomValues random;
  // Three sources in a palette of four: the last place is not used.
  Leaf leaf = LeafOf(&random, 3);
  Bytes bytes = Encoded(leaf);
  bytes[24] = std::byte{0xFF};  // Index 3, which the palette does not have.
  Reseal(&bytes);
  EXPECT_EQ(DecodeLeaf(bytes, 512, kPlace).code(), Code::kCorrupt);
  bytes = Encoded(leaf);
  std::swap(bytes[16], bytes[18]);
  std::swap(bytes[17], bytes[19]);  // A palette out of order.
  Reseal(&bytes);
  EXPECT_EQ(DecodeLeaf(bytes, 512, kPlace).code(), Code::kCorrupt);

  Inner inner;
  inner.children[3] = NodePointer::Node(1, 5);
  const auto with = [&](size_t at, uint64_t value) {
    Bytes changed = Encoded(inner);
    std::memcpy(changed.data() + at, &value, sizeof(value));
    Reseal(&changed);
    return DecodeInner(changed, 2, SpanOf(2) * 3, kPlace).code();
  };
  EXPECT_EQ(with(24, 1ull << 4), Code::kOk);
  EXPECT_EQ(with(16, 1ull << 63), Code::kCorrupt);      // A default that is a node.
  EXPECT_EQ(with(16, 1ull << 16), Code::kCorrupt);      // A default that is nothing.
  EXPECT_EQ(with(24, 3), Code::kCorrupt);               // A child more than there are bytes.
  EXPECT_EQ(with(24, 0), Code::kCorrupt);               // One less.
  EXPECT_EQ(with(32, 0), Code::kCorrupt);               // A child that is the default.
  EXPECT_EQ(with(32, 1ull << 20), Code::kCorrupt);      // A child that is nothing.
  EXPECT_EQ(with(32, 1ull << 63 | 5), Code::kCorrupt);  // A node in source 0.
}

TEST(Nodes, NewerVersionsAndUnknownFeaturesAreUnsupported) {
  RandomValues random;
  for (const size_t at : {2, 3}) {
    Bytes bytes = Encoded(LeafOf(&random, 2));
    bytes[at] = std::byte{2};
    Reseal(&bytes);
    EXPECT_EQ(DecodeLeaf(bytes, 512, kPlace).code(), Code::kUnsupported);
  }
  Bytes bytes = Encoded(LeafOf(&random, 2));
  bytes[3] = std::byte{0x10};  // Compat: nothing to a reader.
  Reseal(&bytes);
  EXPECT_TRUE(DecodeLeaf(bytes, 512, kPlace).ok());
}

TEST(Nodes, LengthIsRefusedWhereNoNodeBegins) {
  EXPECT_EQ(NodeLength({}).code(), Code::kCorrupt);
  EXPECT_EQ(NodeLength(Bytes(15)).code(), Code::kCorrupt);
  EXPECT_EQ(NodeLength(Bytes(600)).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace atl
