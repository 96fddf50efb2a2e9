// SPDX-License-Identifier: Apache-2.0
#include "peers/codec.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "peers/client/frame.h"
#include "peers/ops.h"

namespace atl {
namespace {

ResourceInfo FullInfo() {
  ResourceInfo info;
  info.uuid = Uuid::FromRandom(1, 2);
  info.kind = ResourceKind::kSnapshot;
  info.name = "db1@monday";
  info.size = kPiB;
  info.parent_name = "db1";
  info.created_ns = -5;
  info.open = true;
  info.space = SpaceUse{1, 2, 3};
  return info;
}

TEST(Codec, EveryFieldComesBack) {
  ResourcePage page;
  page.items = {FullInfo(), ResourceInfo{}};
  page.last = false;
  const Bytes bytes = EncodeMessage(page);
  const auto back = DecodeMessage<ResourcePage>(bytes);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  ASSERT_EQ(back->items.size(), 2u);
  EXPECT_FALSE(back->last);
  EXPECT_EQ(back->items[0].uuid, page.items[0].uuid);
  EXPECT_EQ(back->items[0].kind, ResourceKind::kSnapshot);
  EXPECT_EQ(back->items[0].name, "db1@monday");
  EXPECT_EQ(back->items[0].created_ns, -5);
  ASSERT_TRUE(back->items[0].space.has_value());
  EXPECT_EQ(back->items[0].space->shared_bytes, 3u);
  EXPECT_FALSE(back->items[1].space.has_value());
  EXPECT_EQ(EncodeMessage(*back), bytes);
}

TEST(Codec, RefusesEveryPrefixAndEveryExtension) {
  Bytes bytes = EncodeMessage(ShowOp{ResourceRef::Named("db1"), true});
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeMessage<ShowOp>(ConstSpan(bytes).first(length)).ok()) << length;
  }
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(DecodeMessage<ShowOp>(bytes).ok());
}

TEST(Codec, RefusesUnknownEnumsAndBoolsThatAreNeither) {
  Bytes open = EncodeMessage(OpenOp{ResourceRef::Named("a"), OpenMode::kReadOnly});
  EXPECT_TRUE(DecodeMessage<OpenOp>(open).ok());
  open.back() = std::byte{2};
  EXPECT_FALSE(DecodeMessage<OpenOp>(open).ok());
  Bytes gc = EncodeMessage(CollectGarbageOp{true});
  gc.back() = std::byte{2};
  EXPECT_FALSE(DecodeMessage<CollectGarbageOp>(gc).ok());
}

TEST(Codec, AHugeCountCostsNothingAndIsRefused) {
  Encoder within;
  within.Put(static_cast<uint32_t>(kMaxWireItems));
  EXPECT_FALSE(DecodeMessage<std::vector<PortStats>>(within.view()).ok());
  Encoder beyond;
  beyond.Put(static_cast<uint32_t>(kMaxWireItems + 1));
  beyond.Zeros(1 << 20);
  EXPECT_FALSE(DecodeMessage<std::vector<uint8_t>>(beyond.view()).ok());
}

TEST(Codec, RandomBytesAreDecodedOrRefusedAndNeverMore) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  const Bytes good = EncodeMessage(ResourcePage{{FullInfo(), FullInfo()}, true});
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = good;
    for (int hit = 0; hit < 3; ++hit) bytes[random() % bytes.size()] = std::byte(random() & 0xff);
    const auto page = DecodeMessage<ResourcePage>(bytes);
    if (page.ok()) {
      EXPECT_EQ(EncodeMessage(*page), bytes) << "one value has one encoding";
    }
  }
}

TEST(Frame, ReturnsWhatWasPut) {
  FrameHeader header;
  header.id = 77;
  header.op = Op::kWrite;
  header.payload_bytes = kMaxFramePayload;
  const Bytes body(10);
  const Bytes frame = MakeFrame(header, body);
  std::array<std::byte, kFrameHeaderBytes> raw;
  std::copy_n(frame.begin(), raw.size(), raw.begin());
  const auto back = ParseFrameHeader(raw, FrameKind::kRequest);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->id, 77u);
  EXPECT_EQ(back->op, Op::kWrite);
  EXPECT_EQ(back->body_bytes, 10u);
  EXPECT_EQ(ParseFrameHeader(raw, FrameKind::kReply).code(), Code::kInvalid);
  raw[18] = std::byte{9};
  EXPECT_EQ(ParseFrameHeader(raw, FrameKind::kRequest).code(), Code::kUnsupported);
}

TEST(Frame, RefusesWhatAnnouncesTooMuch) {
  std::array<std::byte, kFrameHeaderBytes> raw;
  FrameHeader header;
  header.payload_bytes = kMaxFramePayload + 1;
  std::copy_n(MakeFrame(header, {}).begin(), raw.size(), raw.begin());
  EXPECT_EQ(ParseFrameHeader(raw, FrameKind::kRequest).code(), Code::kLimit);
  const Bytes body(kMaxRequestBody + 1);
  std::copy_n(MakeFrame({}, body).begin(), raw.size(), raw.begin());
  EXPECT_EQ(ParseFrameHeader(raw, FrameKind::kRequest).code(), Code::kLimit);
}

TEST(Frame, AReplyCarriesAnOutcomeOrAnAnswer) {
  const Bytes bad = MakeReplyBody(Status(Code::kBusy, "volume a: held by node b"));
  const auto refused = ParseReplyBody<LockInfo>(bad);
  EXPECT_EQ(refused.code(), Code::kBusy);
  EXPECT_EQ(refused.status().message(), "volume a: held by node b");
  const Bytes good = MakeReplyBody(Result<LockInfo>(LockInfo{"me", 4, "write"}));
  const auto answer = ParseReplyBody<LockInfo>(good);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->generation, 4u);
  EXPECT_EQ(ParseReplyBody<LockInfo>({}).code(), Code::kInvalid);
}

TEST(Ops, HaveNames) {
  EXPECT_EQ(NameOf(Op::kRollback), "rollback");
  EXPECT_EQ(NameOf(static_cast<Op>(9999)), "operation 9999");
}

}  // namespace
}  // namespace atl
