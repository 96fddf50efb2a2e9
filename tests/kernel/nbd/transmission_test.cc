// SPDX-License-Identifier: Apache-2.0
//
// Every command and every error of the transmission phase, byte by byte.
#include "kernel/nbd/transmission.h"

#include <gtest/gtest.h>

#include "kernel/nbd/limits.h"
#include "tests/kernel/nbd/talk.h"

namespace atl::nbd {
namespace {

constexpr unsigned kFua = 1, kNoHole = 2, kDf = 4, kReqOne = 8, kFastZero = 16;
constexpr uint64_t kDiskSize = 4 * kMiB;

class TransmissionTalk : public Talk {
 protected:
  Script Start(bool structured, std::string_view name = "disk") {
    Script script;
    script.ClientFlags(3);
    if (structured) {
      script.Option(8).Option(10, MetaData(name, {"base:allocation"}));
    }
    return script.Option(1, Script().Text(name));
  }
  // What `requests` are answered, without the handshake.
  Heard Requests(const Script& requests, bool structured = false, std::string_view name = "disk") {
    const Heard before = Say(Start(structured, name));
    Heard heard = Say(Start(structured, name).Add(requests));
    EXPECT_GE(heard.bytes.size(), before.bytes.size());
    heard.bytes.erase(heard.bytes.begin(),
                      heard.bytes.begin() + static_cast<long>(before.bytes.size()));
    return heard;
  }
  void ExpectReply(const Script& requests, const Script& reply, bool structured = false,
                   std::string_view name = "disk") {
    const Heard heard = Requests(requests, structured, name);
    EXPECT_EQ(Hex(heard.bytes), Hex(reply.bytes()));
    EXPECT_EQ(heard.bytes, reply.bytes());
    EXPECT_FALSE(heard.closed);
  }
  void ExpectError(const Script::RequestFields& request, uint32_t error, std::string_view text,
                   std::string_view name = "disk") {
    Script script;
    script.Request(request);
    if (request.type == 1) script.Fill(request.length, 0x77);
    // The next request is still understood.
    script.Request({.type = 3, .cookie = 99});
    ExpectReply(script, Script().Simple(request.cookie, error).Simple(99), false, name);
    const Bytes payload = Script().U32(error).U16(text.size()).Text(text);
    ExpectReply(script, Script().Chunk(1, 0x8001, request.cookie, payload).Simple(99), true, name);
  }
};

TEST_F(TransmissionTalk, WhatWasWrittenIsRead) {
  const Script write =
      Script().Request({.type = 1, .cookie = 1, .offset = 4097, .length = 3}).Text("abc");
  const Script::RequestFields read{.type = 0, .cookie = 2, .offset = 4096, .length = 6};
  const std::string seen("\0abc\0\0", 6);
  ExpectReply(Script(write).Request(read), Script().Simple(1).Simple(2).Text(seen));
  ExpectReply(Script(write).Request(read),
              Script().Simple(1).Chunk(1, 1, 2, Script().U64(4096).Text(seen)), true);
}

TEST_F(TransmissionTalk, TheLastByteCanBeReadAndWritten) {
  ExpectReply(Script()
                  .Request({.type = 1, .cookie = 1, .offset = kDiskSize - 1, .length = 1})
                  .Text("z")
                  .Request({.type = 0, .cookie = 2, .offset = kDiskSize - 2, .length = 2}),
              Script().Simple(1).Simple(2).U8(0).Text("z"));
}

TEST_F(TransmissionTalk, NothingCanBeReadAndWrittenEverywhere) {
  for (uint64_t offset : {uint64_t{0}, uint64_t{77}, kDiskSize}) {
    const Script script = Script()
                              .Request({.type = 0, .cookie = 1, .offset = offset})
                              .Request({.type = 1, .cookie = 2, .offset = offset})
                              .Request({.type = 4, .cookie = 3, .offset = offset})
                              .Request({.type = 5, .cookie = 4, .offset = offset})
                              .Request({.type = 6, .cookie = 5, .offset = offset});
    ExpectReply(script, Script().Simple(1).Simple(2).Simple(3).Simple(4).Simple(5));
    ExpectReply(script, Script().Chunk(1, 0, 1).Simple(2).Simple(3).Simple(4).Simple(5), true);
  }
}

TEST_F(TransmissionTalk, FuaIsAcceptedOnEveryCommand) {
  const Script script = Script()
                            .Request({.flags = kFua, .type = 0, .cookie = 1, .length = 1})
                            .Request({.flags = kFua, .type = 1, .cookie = 2, .length = 1})
                            .Text("x")
                            .Request({.flags = kFua, .type = 3, .cookie = 3})
                            .Request({.flags = kFua, .type = 4, .cookie = 4, .length = 1})
                            .Request({.flags = kFua, .type = 5, .cookie = 5, .length = 1})
                            .Request({.flags = kFua, .type = 6, .cookie = 6, .length = 1})
                            .Request({.flags = kFua, .type = 7, .cookie = 7, .length = 4096});
  ExpectReply(script,
              Script()
                  .Chunk(1, 1, 1, Script().U64(0).U8(0))
                  .Simple(2)
                  .Simple(3)
                  .Simple(4)
                  .Simple(5)
                  .Simple(6)
                  .Chunk(1, 5, 7, Script().U32(1).U32(4096).U32(0)),
              true);
}

TEST_F(TransmissionTalk, FlagsOfOtherCommandsAreInvalid) {
  constexpr unsigned kAllowed[] = {
      kFua, kFua, 0xffff, kFua, kFua, kFua, kFua | kNoHole | kFastZero, kFua | kReqOne};
  for (unsigned type = 0; type < std::size(kAllowed); ++type) {
    for (unsigned bit = 0; bit < 16; ++bit) {
      const unsigned flag = 1u << bit;
      // DF belongs to reads with structured replies, which are looked at elsewhere.
      if ((kAllowed[type] & flag) != 0 || (type == 0 && flag == kDf)) continue;
      ExpectError({.flags = flag, .type = type, .cookie = 3, .length = type == 3 ? 0u : 16u}, 22,
                  "a flag that the command does not have");
    }
  }
}

TEST_F(TransmissionTalk, DontFragmentNeedsStructuredReplies) {
  ExpectReply(Script().Request({.flags = kDf, .type = 0, .cookie = 1, .length = 1}),
              Script().Simple(1, 22));
  ExpectReply(Script().Request({.flags = kDf, .type = 0, .cookie = 1, .length = 1}),
              Script().Chunk(1, 1, 1, Script().U64(0).U8(0)), true);
}

TEST_F(TransmissionTalk, UnknownCommandsAreInvalid) {
  for (unsigned type : {8u, 9u, 77u, 0xffffu}) {
    ExpectError({.type = type, .cookie = 1, .offset = 1, .length = 1}, 22, "an unknown command");
  }
}

TEST_F(TransmissionTalk, BeyondTheEndIsRefusedAsEachCommandHasIt) {
  const std::string text = "beyond the end of the export";
  const std::pair<unsigned, uint32_t> rows[] = {{0, 22}, {1, 28}, {4, 22},
                                                {5, 22}, {6, 28}, {7, 22}};
  for (const auto& [type, error] : rows) {
    for (const auto& [offset, length] :
         std::initializer_list<std::pair<uint64_t, uint64_t>>{{kDiskSize, 1},
                                                              {kDiskSize - 4, 5},
                                                              {kDiskSize + 1, 1},
                                                              {uint64_t{1} << 63, 9},
                                                              {~uint64_t{0}, 1},
                                                              {~uint64_t{0} - 3, 8}}) {
      if (type == 7) {
        ExpectReply(Script().Request({.type = 7, .cookie = 1, .offset = offset, .length = length}),
                    Script().Chunk(1, 0x8001, 1, Script().U32(22).U16(text.size()).Text(text)),
                    true);
      } else {
        ExpectError({.type = type, .cookie = 1, .offset = offset, .length = length}, error, text);
      }
    }
  }
}

TEST_F(TransmissionTalk, ReadsOverTheMaximumPayloadOverflow) {
  world = [](MemoryAtoll* atoll) { atoll->Add("disk", kGiB); };
  const std::string text = "more than the maximum payload of 32 MiB";
  const Script read = Script().Request({.type = 0, .cookie = 1, .length = kMaxPayload + 1});
  ExpectReply(read, Script().Simple(1, 22));
  ExpectReply(read, Script().Chunk(1, 0x8001, 1, Script().U32(75).U16(text.size()).Text(text)),
              true);
  // Untouched, it costs one chunk.
  ExpectReply(Script().Request({.type = 0, .cookie = 1, .length = kMaxPayload}),
              Script().Chunk(1, 2, 1, Script().U64(0).U32(kMaxPayload)), true);
}

TEST_F(TransmissionTalk, CommandsWithoutPayloadMayBeLongerThanTheMaximum) {
  world = [](MemoryAtoll* atoll) { atoll->Add("disk", 8 * kGiB); };
  const uint32_t all = 0xffffffff;
  ExpectReply(
      Script()
          .Request({.type = 4, .cookie = 1, .length = all})
          .Request({.type = 5, .cookie = 2, .length = all})
          .Request({.type = 6, .cookie = 3, .length = all})
          .Request({.type = 7, .cookie = 4, .offset = 5, .length = all}),
      Script().Simple(1).Simple(2).Simple(3).Chunk(1, 5, 4, Script().U32(1).U32(all).U32(3)), true);
}

TEST_F(TransmissionTalk, ReadOnlyExportsRefuseWhatWrites) {
  for (unsigned type : {1u, 4u, 6u}) {
    ExpectError({.type = type, .cookie = 1, .length = 512}, 1, "the export is read-only", "snap");
    // Whatever its range.
    ExpectError({.type = type, .cookie = 1, .offset = kDiskSize, .length = 512}, 1,
                "the export is read-only", "snap");
  }
  ExpectReply(Script().Request({.type = 0, .cookie = 1, .length = 1}), Script().Simple(1).U8(0),
              false, "snap");
}

TEST_F(TransmissionTalk, FlushHasNeitherOffsetNorLength) {
  ExpectError({.type = 3, .cookie = 1, .offset = 1}, 22, "FLUSH has neither offset nor length");
  ExpectError({.type = 3, .cookie = 1, .length = 1}, 22, "FLUSH has neither offset nor length");
}

TEST_F(TransmissionTalk, DisconnectEndsIt) {
  const Heard heard = Requests(Script()
                                   .Request({.type = 3, .cookie = 1})
                                   .Request({.type = 2, .cookie = 2})
                                   .Request({.type = 3, .cookie = 3}));
  EXPECT_TRUE(heard.closed);
  EXPECT_EQ(heard.bytes, Script().Simple(1).bytes());
}

TEST_F(TransmissionTalk, NonsenseEndsItAtTheFirstWrongByte) {
  for (const Script& script : {Script().U8(0x26), Script().U32(0x25609514), Script().U64(0)}) {
    const Heard heard = Requests(Script().Request({.type = 3, .cookie = 1}).Add(script));
    EXPECT_TRUE(heard.closed);
    EXPECT_EQ(heard.bytes, Script().Simple(1).bytes());
  }
}

TEST_F(TransmissionTalk, TrimMakesAHole) {
  ExpectReply(Script()
                  .Request({.type = 1, .cookie = 1, .offset = 0, .length = 8192})
                  .Fill(8192, 'a')
                  .Request({.type = 4, .cookie = 2, .offset = 4096, .length = 4096})
                  .Request({.type = 7, .cookie = 3, .length = 16384}),
              Script().Simple(1).Simple(2).Chunk(
                  1, 5, 3, Script().U32(1).U32(4096).U32(0).U32(12288).U32(3)),
              true);
}

TEST_F(TransmissionTalk, WriteZeroesKeepsTheSpaceOnlyIfAsked) {
  ExpectReply(
      Script()
          .Request({.type = 1, .cookie = 1, .offset = 0, .length = 12288})
          .Fill(12288, 'a')
          .Request({.type = 6, .cookie = 2, .offset = 0, .length = 4096})
          .Request({.flags = kNoHole, .type = 6, .cookie = 3, .offset = 8192, .length = 4096})
          .Request({.type = 7, .cookie = 4, .length = 12288})
          .Request({.type = 0, .cookie = 5, .offset = 4094, .length = 4}),
      Script()
          .Simple(1)
          .Simple(2)
          .Simple(3)
          .Chunk(1, 5, 4, Script().U32(1).U32(4096).U32(3).U32(4096).U32(0).U32(4096).U32(2))
          .Chunk(1, 1, 5, Script().U64(4094).U16(0).Text("aa")),
      true);
}

TEST_F(TransmissionTalk, FastZeroFailsFastWhereItIsNot) {
  ExpectReply(Script()
                  .Request({.flags = kFastZero, .type = 6, .cookie = 1, .length = 4096})
                  .Request({.flags = kFastZero, .type = 6, .cookie = 2, .length = 4095})
                  .Request({.type = 6, .cookie = 3, .length = 4095}),
              Script().Simple(1).Simple(2, 95).Simple(3));
}

TEST_F(TransmissionTalk, BlockStatusJoinsNeighboursAndHonoursReqOne) {
  Script script;
  for (unsigned i = 0; i < 3; ++i) {
    script.Request({.type = 1, .cookie = i, .offset = 8192 + i * 4096, .length = 4096})
        .Fill(4096, 'a');
  }
  const Script replies = Script().Simple(0).Simple(1).Simple(2);
  ExpectReply(Script(script).Request({.type = 7, .cookie = 7, .offset = 4095, .length = 40960}),
              Script(replies).Chunk(
                  1, 5, 7, Script().U32(1).U32(4097).U32(3).U32(12288).U32(0).U32(24575).U32(3)),
              true);
  ExpectReply(Script(script).Request(
                  {.flags = kReqOne, .type = 7, .cookie = 7, .offset = 8192, .length = 40960}),
              Script(replies).Chunk(1, 5, 7, Script().U32(1).U32(12288).U32(0)), true);
  ExpectReply(Script(script).Request(
                  {.flags = kReqOne, .type = 7, .cookie = 7, .offset = 8192, .length = 100}),
              Script(replies).Chunk(1, 5, 7, Script().U32(1).U32(100).U32(0)), true);
}

TEST_F(TransmissionTalk, BlockStatusOfNothingIsInvalid) {
  const std::string text = "block status of nothing";
  ExpectReply(Script().Request({.type = 7, .cookie = 1}),
              Script().Chunk(1, 0x8001, 1, Script().U32(22).U16(text.size()).Text(text)), true);
}

TEST_F(TransmissionTalk, BlockStatusNeedsItsContext) {
  ExpectReply(Script().Request({.type = 7, .cookie = 1, .length = 512}), Script().Simple(1, 22));
}

TEST_F(TransmissionTalk, BlockStatusStopsAtItsLimit) {
  world = [](MemoryAtoll* atoll) {
    auto volume = atoll->Add("disk", 64 * kMiB);
    const Bytes data(1, std::byte{1});
    for (uint64_t at = 0; at < 64 * kMiB; at += 8192) volume->Write(at, data);
  };
  Script expected;
  expected.U32(1);
  for (size_t i = 0; i < kMaxStatusExtents; ++i) expected.U32(4096).U32(i % 2 == 0 ? 0 : 3);
  ExpectReply(Script().Request({.type = 7, .cookie = 1, .length = 64 * kMiB}),
              Script().Chunk(1, 5, 1, expected), true);
}

TEST_F(TransmissionTalk, LargeReadsLeaveHolesOut) {
  world = [](MemoryAtoll* atoll) {
    atoll->Add("disk", kDiskSize)->Write(65536, Bytes(4096, std::byte{'d'}));
  };
  const Script read = Script().Request({.type = 0, .cookie = 1, .offset = 32768, .length = 65536});
  ExpectReply(read,
              Script()
                  .Chunk(0, 2, 1, Script().U64(32768).U32(32768))
                  .Chunk(0, 1, 1, Script().U64(65536).Fill(4096, 'd'))
                  .Chunk(1, 2, 1, Script().U64(69632).U32(28672)),
              true);
  const Script whole = Script().Fill(32768, 0).Fill(4096, 'd').Fill(28672, 0);
  ExpectReply(read, Script().Simple(1).Add(whole));
  ExpectReply(
      Script().Request({.flags = kDf, .type = 0, .cookie = 1, .offset = 32768, .length = 65536}),
      Script().Chunk(1, 1, 1, Script().U64(32768).Add(whole)), true);
  // Below the threshold nobody asks for holes.
  ExpectReply(
      Script().Request({.type = 0, .cookie = 1, .offset = 0, .length = kSparseReadBytes - 1}),
      Script().Chunk(1, 1, 1, Script().U64(0).Fill(kSparseReadBytes - 1, 0)), true);
}

TEST_F(TransmissionTalk, ReadsSendDataWhereTheDeviceKnowsNoExtents) {
  world = [](MemoryAtoll* atoll) {
    atoll->Add("disk", kDiskSize);
    atoll->behaviour.fail = [](std::string_view what) {
      return what == "extents" ? Status(Code::kUnsupported, "no") : OkStatus();
    };
  };
  ExpectReply(Script().Request({.type = 0, .cookie = 1, .length = 65536}),
              Script().Chunk(1, 1, 1, Script().U64(0).Fill(65536, 0)), true);
}

TEST_F(TransmissionTalk, EveryStatusBecomesItsError) {
  const std::pair<Code, uint32_t> rows[] = {
      {Code::kInvalid, 22},    {Code::kNotFound, 5},     {Code::kExists, 5},
      {Code::kConflict, 5},    {Code::kBusy, 1},         {Code::kReadOnly, 1},
      {Code::kNoSpace, 28},    {Code::kIo, 5},           {Code::kCorrupt, 5},
      {Code::kUnavailable, 5}, {Code::kTimeout, 5},      {Code::kFenced, 1},
      {Code::kLimit, 28},      {Code::kUnsupported, 22}, {Code::kPermission, 1},
      {Code::kCancelled, 108}, {Code::kInternal, 5},     {Code::kStale, 5}};
  ASSERT_EQ(std::size(rows) + 1, static_cast<size_t>(kCodeCount));
  for (const auto& [code, error] : rows) {
    world = [code = code](MemoryAtoll* atoll) {
      atoll->Add("disk", kDiskSize);
      atoll->behaviour.fail = [code](std::string_view what) {
        const bool works = what == "show" || what == "open" || what == "flush";
        return works ? OkStatus() : Status(code, "because");
      };
    };
    for (unsigned type : {0u, 1u, 4u, 5u, 6u}) {
      ExpectError({.type = type, .cookie = 1, .length = 512}, error, "because");
    }
    const Bytes chunk = Script().U32(error).U16(7).Text("because");
    ExpectReply(Script()
                    .Request({.type = 7, .cookie = 2, .length = 512})
                    .Request({.type = 0, .cookie = 3, .length = 65536}),
                Script().Chunk(1, 0x8001, 2, chunk).Chunk(1, 0x8001, 3, chunk), true);
    world = [code = code](MemoryAtoll* atoll) {
      atoll->Add("disk", kDiskSize);
      atoll->behaviour.fail = [code](std::string_view what) {
        return what == "flush" ? Status(code, "because") : OkStatus();
      };
    };
    ExpectReply(Script().Request({.type = 3, .cookie = 1}), Script().Simple(1, error));
    ExpectReply(Script().Request({.type = 3, .cookie = 1}), Script().Chunk(1, 0x8001, 1, chunk),
                true);
  }
}

TEST_F(TransmissionTalk, TheTextOfAnErrorIsCut) {
  world = [](MemoryAtoll* atoll) {
    atoll->Add("disk", kDiskSize);
    atoll->behaviour.fail = [](std::string_view what) {
      return what == "flush" ? Status(Code::kIo, std::string(9000, 'e')) : OkStatus();
    };
  };
  const Script text = Script().U32(5).U16(kMaxErrorText).Fill(kMaxErrorText, 'e');
  ExpectReply(Script().Request({.type = 3, .cookie = 1}), Script().Chunk(1, 0x8001, 1, text), true);
}

// The reader alone, where sizes are too large for a conversation.
ExportView View() { return {.size = kTiB, .structured = true, .block_status = true}; }

TEST(RequestReader, SkipsThePayloadOfARefusedWriteOfAnyLength) {
  RequestReader reader;
  const Script header = Script().Request({.type = 1, .cookie = 9, .length = 0xffffffff});
  auto step = reader.Next(header, View());
  EXPECT_EQ(step.kind, RequestReader::Step::kMore);
  EXPECT_EQ(step.consumed, 28u);
  const Bytes part(kMiB);
  for (uint64_t left = 0xffffffff; left > 0;) {
    step = reader.Next(part, View());
    ASSERT_GT(step.consumed, 0u);
    left -= step.consumed;
    ASSERT_EQ(step.kind == RequestReader::Step::kRefuse, left == 0);
  }
  EXPECT_EQ(step.request.cookie, 9u);
  EXPECT_EQ(step.refusal.error, kEinval);
  EXPECT_EQ(step.consumed, kMiB - 1);
}

TEST(RequestReader, HandsOutALongPayloadOnceASmallPayloadOfItIsThere) {
  RequestReader reader;
  Script script = Script().Request({.type = 1, .length = kMaxPayload}).Fill(kSmallPayload - 1, 7);
  EXPECT_EQ(reader.Next(script, View()).kind, RequestReader::Step::kMore);
  EXPECT_EQ(reader.Next(script, View()).consumed, 0u);
  script.Fill(1, 7);
  const auto step = reader.Next(script, View());
  EXPECT_EQ(step.kind, RequestReader::Step::kExecute);
  EXPECT_EQ(step.payload.size(), kSmallPayload);
  EXPECT_EQ(step.consumed, kSmallPayload + 28);
}

TEST(RequestReader, AsksForTheSizeOfNowBeforeItRefusesWhatLiesBeyond) {
  RequestReader reader;
  const Script write = Script().Request({.type = 1, .offset = kTiB, .length = 4}).Text("data");
  ExportView view = View();
  view.size_may_be_old = true;
  const auto asked = reader.Next(write, view);
  EXPECT_EQ(asked.kind, RequestReader::Step::kBeyond);
  EXPECT_EQ(asked.consumed, 0u);
  view.size += kMiB;
  const auto grown = reader.Next(write, view);
  EXPECT_EQ(grown.kind, RequestReader::Step::kExecute);
  EXPECT_EQ(AsText(grown.payload), "data");
  const auto refused = reader.Next(write, View());
  EXPECT_EQ(refused.kind, RequestReader::Step::kRefuse);
  EXPECT_EQ(refused.refusal.error, kEnospc);
  EXPECT_EQ(refused.consumed, 32u);
}

TEST(RequestReader, KeepsBytesOfTheNextRequestOutOfAPayload) {
  RequestReader reader;
  const Script script = Script().Request({.type = 1, .length = 5}).Text("12345next.");
  const auto step = reader.Next(script, View());
  EXPECT_EQ(AsText(step.payload), "12345");
  EXPECT_EQ(step.consumed, 33u);
}

}  // namespace
}  // namespace atl::nbd
