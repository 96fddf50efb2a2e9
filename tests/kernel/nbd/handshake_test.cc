// SPDX-License-Identifier: Apache-2.0
//
// The handshake byte by byte. Numbers are written out as the specification has them.
#include "kernel/nbd/handshake.h"

#include <gtest/gtest.h>

#include "kernel/nbd/limits.h"
#include "tests/kernel/nbd/talk.h"

namespace atl::nbd {
namespace {

using HandshakeTalk = Talk;

constexpr uint64_t kDiskSize = 4 * kMiB;
// HAS_FLAGS FLUSH FUA TRIM WRITE_ZEROES CAN_MULTI_CONN CACHE FAST_ZERO.
constexpr unsigned kWritable = 0x0d6d;
// HAS_FLAGS READ_ONLY FLUSH FUA CAN_MULTI_CONN CACHE.
constexpr unsigned kReadOnlyFlags = 0x050f;
constexpr unsigned kDf = 0x0080;

Script Hello() { return Script().ClientFlags(3); }
Script ExportInfo(unsigned flags, uint64_t size = kDiskSize) {
  return Script().U16(0).U64(size).U16(flags);
}
Script BlockSizes() { return Script().U16(3).U32(1).U32(4096).U32(33554432); }
Script Allocation(unsigned id) { return Script().U32(id).Text("base:allocation"); }
constexpr uint32_t kUnsup = 0x80000001, kPolicy = 0x80000002, kInvalidOption = 0x80000003,
                   kUnknown = 0x80000006, kTooBig = 0x80000009;

Script Refusal(uint32_t option, uint32_t type, std::string_view text) {
  return Script().OptionReply(option, type, Script().Text(text));
}

TEST_F(HandshakeTalk, UnknownClientFlagsEndIt) { Expect(Script().ClientFlags(7), {}, true); }

TEST_F(HandshakeTalk, ExportNameOpensTheExportWithPadding) {
  Expect(Script().ClientFlags(1).Option(1, Script().Text("disk")),
         Script().U64(kDiskSize).U16(kWritable).Fill(124, 0));
}

TEST_F(HandshakeTalk, ExportNameLeavesThePaddingOutWhenAsked) {
  Expect(Hello().Option(1, Script().Text("snap")), Script().U64(kDiskSize).U16(kReadOnlyFlags));
}

TEST_F(HandshakeTalk, ExportNameWorksInPlainNewstyle) {
  Expect(Script().ClientFlags(0).Option(1, Script().Text("disk")),
         Script().U64(kDiskSize).U16(kWritable).Fill(124, 0));
}

TEST_F(HandshakeTalk, OtherOptionsNeedFixedNewstyle) {
  Expect(Script().ClientFlags(0).Option(3), {}, true);
  Expect(Script().ClientFlags(2).Option(7, InfoData("disk")), {}, true);
}

TEST_F(HandshakeTalk, ExportNameOfAMissingExportHangsUp) {
  Expect(Hello().Option(1, Script().Text("nothing")), {}, true);
  Expect(Hello().Option(1), {}, true);
  Expect(Hello().Option(1, Script().Fill(kMaxStringBytes + 1, 'x')), {}, true);
  Expect(Hello().Option(1, Script().Fill(kMaxOptionBytes + 1, 'x')), {}, true);
}

TEST_F(HandshakeTalk, AbortIsAcknowledged) {
  Expect(Hello().Option(2), Script().OptionReply(2, 1), true);
  Expect(Hello().Option(2, Script().Text("whatever")), Script().OptionReply(2, 1), true);
  Expect(Hello().Option(2, Script().Fill(kMaxOptionBytes + 1, 0)), Script().OptionReply(2, 1),
         true);
}

TEST_F(HandshakeTalk, ListNamesEveryExport) {
  Expect(Hello().Option(3), Script()
                                .OptionReply(3, 2, Script().U32(4).Text("disk").Text("volume"))
                                .OptionReply(3, 2, Script().U32(4).Text("snap").Text("snapshot"))
                                .OptionReply(3, 1));
}

TEST_F(HandshakeTalk, ListOfNothingIsOnlyAcknowledged) {
  world = [](MemoryAtoll*) {};
  Expect(Hello().Option(3), Script().OptionReply(3, 1));
}

TEST_F(HandshakeTalk, ListGoesOnBeyondAPage) {
  world = [](MemoryAtoll* atoll) {
    for (unsigned i = 0; i < 2 * kListPage + 1; ++i) atoll->Add(std::to_string(100000 + i), kMiB);
  };
  Script answer;
  for (unsigned i = 0; i < 2 * kListPage + 1; ++i) {
    const std::string name = std::to_string(100000 + i);
    answer.OptionReply(3, 2, Script().U32(name.size()).Text(name).Text("volume"));
  }
  Expect(Hello().Option(3), answer.OptionReply(3, 1));
}

TEST_F(HandshakeTalk, ListWithDataIsInvalid) {
  Expect(Hello().Option(3, Script().U8(0)), Refusal(3, kInvalidOption, "LIST has no data"));
}

TEST_F(HandshakeTalk, ListThatFailsSaysWhy) {
  world = [](MemoryAtoll* atoll) {
    atoll->behaviour.fail = [](std::string_view) { return Status(Code::kPermission, "not you"); };
  };
  Expect(Hello().Option(3), Refusal(3, kPolicy, "not you"));
}

TEST_F(HandshakeTalk, UnknownOptionsAreRefusedAndTheNextOneWorks) {
  const std::string text = "an option that this server does not know";
  for (unsigned option : {0u, 4u, 11u, 12u, 0x80000000u, 0xffffffffu}) {
    Expect(Hello().Option(option, Script().Fill(9, 7)).Option(2),
           Refusal(option, kUnsup, text).OptionReply(2, 1), true);
  }
}

TEST_F(HandshakeTalk, StartTlsIsUnsupported) {
  Expect(Hello().Option(5), Refusal(5, kUnsup, "no TLS here"));
}

TEST_F(HandshakeTalk, LongOptionsAreSkippedAndRefused) {
  const std::string text = "the option is too long";
  const Script data = Script().Fill(kMaxOptionBytes + 1, 1);
  Expect(Hello().Option(7, data).Option(2), Refusal(7, kTooBig, text).OptionReply(2, 1), true);
  Expect(Hello().Option(99, data).Option(2), Refusal(99, kUnsup, text).OptionReply(2, 1), true);
  const Script most = Script().Fill(kMaxOptionBytes, 1);
  Expect(Hello().Option(99, most), Refusal(99, kUnsup, "an option that this server does not know"));
}

TEST_F(HandshakeTalk, AnOptionThatIsFarTooLongEndsIt) {
  const Script header = Script().U64(0x49484156454F5054).U32(7).U32(kMaxSkippedOptionBytes + 1);
  Expect(Hello().Add(header), {}, true);
}

TEST_F(HandshakeTalk, NonsenseInsteadOfAnOptionEndsItAtTheFirstWrongByte) {
  Expect(Hello().Text("G"), {}, true);
  Expect(Hello().Text("IHAVEOPX"), {}, true);
}

TEST_F(HandshakeTalk, TooManyOptionsEndIt) {
  Script script = Hello();
  Script answer;
  for (uint32_t i = 0; i < kMaxOptions; ++i) {
    script.Option(8);
    answer.OptionReply(8, 1);
  }
  TestEnv env;
  MemoryAtoll atoll(&env);
  Conversation conversation(&env, &atoll);
  conversation.Hear();
  for (ConstSpan rest = script; !rest.empty();
       rest = rest.subspan(std::min<size_t>(rest.size(), 4096))) {
    conversation.Say(rest.first(std::min<size_t>(rest.size(), 4096)));
  }
  EXPECT_FALSE(conversation.closed());
  EXPECT_EQ(conversation.Hear(), answer.bytes());
  conversation.Say(Script().Option(8));
  EXPECT_TRUE(conversation.closed());
  EXPECT_TRUE(conversation.Hear().empty());
}

TEST_F(HandshakeTalk, InfoTellsSizeAndFlagsAndStaysInTheHandshake) {
  const auto ask = Hello().Option(6, InfoData("disk"));
  Expect(ask.bytes().empty() ? ask : Script(ask).Option(6, InfoData("snap")),
         Script()
             .OptionReply(6, 3, ExportInfo(kWritable))
             .OptionReply(6, 1)
             .OptionReply(6, 3, ExportInfo(kReadOnlyFlags))
             .OptionReply(6, 1));
}

TEST_F(HandshakeTalk, InfoAnswersWhatItWasAskedOnceAndNothingUnknown) {
  Expect(Hello().Option(6, InfoData("disk", {3, 1, 2, 3, 77, 0})),
         Script()
             .OptionReply(6, 3, ExportInfo(kWritable))
             .OptionReply(6, 3, Script().U16(1).Text("disk"))
             .OptionReply(6, 3, Script().U16(2).Text("volume"))
             .OptionReply(6, 3, BlockSizes())
             .OptionReply(6, 1));
}

TEST_F(HandshakeTalk, GoAfterInfoSaysTheSameAndEntersTransmission) {
  Expect(Hello()
             .Option(8)
             .Option(6, InfoData("disk", {3}))
             .Option(7, InfoData("disk", {3}))
             .Request({.type = 3, .cookie = 5}),
         Script()
             .OptionReply(8, 1)
             .OptionReply(6, 3, ExportInfo(kWritable | kDf))
             .OptionReply(6, 3, BlockSizes())
             .OptionReply(6, 1)
             .OptionReply(7, 3, ExportInfo(kWritable | kDf))
             .OptionReply(7, 3, BlockSizes())
             .OptionReply(7, 1)
             .Simple(5));
}

TEST_F(HandshakeTalk, ARefusedGoMayBeFollowedByAnother) {
  Expect(Hello().Option(7, InfoData("nothing")).Option(7, InfoData("snap")),
         Refusal(7, kUnknown, "no resource is called 'nothing'")
             .OptionReply(7, 3, ExportInfo(kReadOnlyFlags))
             .OptionReply(7, 1));
}

TEST_F(HandshakeTalk, ThereIsNoDefaultExport) {
  Expect(Hello().Option(7, InfoData("")), Refusal(7, kUnknown, "a name has at least one byte"));
}

TEST_F(HandshakeTalk, WhatCannotBeANameIsUnknown) {
  const std::string name("di\0sk", 5);
  Expect(Hello().Option(7, InfoData(name)),
         Refusal(7, kUnknown, "a name is made of A-Z a-z 0-9 . _ - @ /; byte 2 is 0x00"));
}

TEST_F(HandshakeTalk, InfoWithLengthsThatDoNotAddUpIsInvalid) {
  const std::string text = "the lengths in the option do not add up";
  for (unsigned option : {6u, 7u}) {
    const Bytes good = InfoData("disk", {3});
    for (size_t cut = 0; cut < good.size(); ++cut) {
      Expect(Hello().Option(option, Bytes(good.begin(), good.begin() + static_cast<long>(cut))),
             Refusal(option, kInvalidOption, text));
    }
    Expect(Hello().Option(option, Script().Add(good).U8(0)), Refusal(option, kInvalidOption, text));
    Expect(Hello().Option(option, Script().U32(4000).Text("disk").U16(0)),
           Refusal(option, kInvalidOption, text));
  }
}

TEST_F(HandshakeTalk, ANameOf4096BytesIsLookedUpAndALongerOneIsTooBig) {
  Expect(Hello().Option(7, InfoData(std::string(4096, 'x'))),
         Refusal(7, kUnknown, "a name has at most 200 bytes, this one has 4096"));
  Expect(Hello().Option(7, InfoData(std::string(4097, 'x'))),
         Refusal(7, kTooBig, "an export name has at most 4096 bytes"));
  Expect(Hello().Option(7, Script().U32(0xffffffff)),
         Refusal(7, kTooBig, "an export name has at most 4096 bytes"));
}

TEST_F(HandshakeTalk, EveryFailureOfTheNodeBecomesItsOptionReply) {
  const std::pair<Code, uint32_t> rows[] = {
      {Code::kNotFound, kUnknown},    {Code::kBusy, kPolicy},      {Code::kPermission, kPolicy},
      {Code::kUnavailable, kUnknown}, {Code::kCorrupt, kUnknown},  {Code::kFenced, kPolicy},
      {Code::kCancelled, 0x80000007}, {Code::kInternal, kUnknown}, {Code::kLimit, kPolicy}};
  for (const auto& [code, reply] : rows) {
    for (std::string_view failing : {"show", "open"}) {
      world = [&](MemoryAtoll* atoll) {
        atoll->Add("disk", kDiskSize);
        atoll->behaviour.fail = [&, code = code](std::string_view what) {
          return what == failing ? Status(code, "because") : OkStatus();
        };
      };
      Expect(Hello().Option(7, InfoData("disk")), Refusal(7, reply, "because"));
    }
  }
}

TEST_F(HandshakeTalk, TheTextOfARefusalIsCut) {
  world = [](MemoryAtoll* atoll) {
    atoll->behaviour.fail = [](std::string_view) {
      return Status(Code::kIo, std::string(5000, 'y'));
    };
  };
  Expect(Hello().Option(3), Refusal(3, kUnknown, std::string(kMaxErrorText, 'y')));
}

TEST_F(HandshakeTalk, AVolumeThatTurnedReadOnlyIsServedReadOnly) {
  world = [](MemoryAtoll* atoll) {
    atoll->Add("disk", kDiskSize)->info().read_only_reason = "a sync failed";
  };
  Expect(Hello().Option(6, InfoData("disk")).Option(7, InfoData("disk")),
         Script()
             .OptionReply(6, 3, ExportInfo(kReadOnlyFlags))
             .OptionReply(6, 1)
             .OptionReply(7, 3, ExportInfo(kReadOnlyFlags))
             .OptionReply(7, 1));
}

TEST_F(HandshakeTalk, StructuredReplyWithDataIsInvalid) {
  Expect(Hello().Option(8, Script().U8(1)),
         Refusal(8, kInvalidOption, "STRUCTURED_REPLY has no data"));
}

TEST_F(HandshakeTalk, MetaContextsNeedStructuredReplies) {
  const std::string text = "metadata contexts need structured replies";
  for (unsigned option : {9u, 10u}) {
    Expect(Hello().Option(option, MetaData("disk", {})), Refusal(option, kInvalidOption, text));
  }
}

TEST_F(HandshakeTalk, ListMetaContextKnowsBaseAllocation) {
  const auto expect = [&](std::vector<std::string> queries, bool found) {
    Script answer = Script().OptionReply(8, 1);
    if (found) answer.OptionReply(9, 4, Allocation(0));
    Expect(Hello().Option(8).Option(9, MetaData("disk", std::move(queries))),
           answer.OptionReply(9, 1));
  };
  expect({}, true);
  expect({"base:"}, true);
  expect({"base:allocation"}, true);
  expect({"base:allocation", "base:", "base:allocation"}, true);
  expect({"qemu:", "x-a:b", "base:allocatio", "base", ""}, false);
}

TEST_F(HandshakeTalk, SetMetaContextSelectsExactNamesOnly) {
  const auto expect = [&](std::vector<std::string> queries, bool found) {
    Script answer = Script().OptionReply(8, 1);
    if (found) answer.OptionReply(10, 4, Allocation(1));
    Expect(Hello().Option(8).Option(10, MetaData("disk", std::move(queries))),
           answer.OptionReply(10, 1));
  };
  expect({}, false);
  expect({"base:"}, false);
  expect({"base:allocation"}, true);
  expect({"qemu:dirty-bitmap:x", "base:allocation"}, true);
}

TEST_F(HandshakeTalk, MetaContextOfAMissingExportIsUnknown) {
  Expect(Hello().Option(8).Option(10, MetaData("nothing", {"base:allocation"})),
         Script().OptionReply(8, 1).Add(Refusal(10, kUnknown, "no resource is called 'nothing'")));
}

TEST_F(HandshakeTalk, MetaContextWithLengthsThatDoNotAddUpIsInvalid) {
  const std::string text = "the lengths in the option do not add up";
  const Bytes good = MetaData("disk", {"base:allocation", "x-y:z"});
  for (size_t cut = 0; cut < good.size(); ++cut) {
    const Bytes part(good.begin(), good.begin() + static_cast<long>(cut));
    Expect(Hello().Option(8).Option(10, part),
           Script().OptionReply(8, 1).Add(Refusal(10, kInvalidOption, text)));
  }
  Expect(Hello().Option(8).Option(9, Script().Add(good).U8(0)),
         Script().OptionReply(8, 1).Add(Refusal(9, kInvalidOption, text)));
}

TEST_F(HandshakeTalk, MetaContextLimitsAreNamed) {
  const Script before = Script().OptionReply(8, 1);
  std::vector<std::string> queries(kMaxMetaQueries, "x:y");
  Expect(Hello().Option(8).Option(9, MetaData("disk", queries)), Script(before).OptionReply(9, 1));
  queries.push_back("x:y");
  Expect(Hello().Option(8).Option(9, MetaData("disk", queries)),
         Script(before).Add(Refusal(9, kTooBig, "more queries than this server takes")));
  Expect(Hello().Option(8).Option(9, MetaData("disk", {std::string(4096, 'q')})),
         Script(before).OptionReply(9, 1));
  Expect(Hello().Option(8).Option(9, MetaData("disk", {std::string(4097, 'q')})),
         Script(before).Add(Refusal(9, kTooBig, "a query has at most 4096 bytes")));
  Expect(Hello().Option(8).Option(9, MetaData(std::string(4097, 'n'), {})),
         Script(before).Add(Refusal(9, kTooBig, "an export name has at most 4096 bytes")));
}

// Whether BLOCK_STATUS works after `options` and a GO of `disk`.
class MetaSelection : public Talk {
 protected:
  bool Selected(const Script& options) {
    const Heard heard = Say(Hello()
                                .Option(8)
                                .Add(options)
                                .Option(7, InfoData("disk"))
                                .Request({.type = 7, .cookie = 1, .length = 4096}));
    const Bytes chunk = Script().Chunk(1, 5, 1, Script().U32(1).U32(4096).U32(3));
    const Bytes tail(
        heard.bytes.end() - static_cast<long>(std::min(chunk.size(), heard.bytes.size())),
        heard.bytes.end());
    return tail == chunk;
  }
  const Bytes good = MetaData("disk", {"base:allocation"});
};

TEST_F(MetaSelection, CountsForTheExportThatWasNamed) {
  EXPECT_TRUE(Selected(Script().Option(10, good)));
  EXPECT_FALSE(Selected({}));
  EXPECT_FALSE(Selected(Script().Option(9, good)));
  EXPECT_FALSE(Selected(Script().Option(10, MetaData("snap", {"base:allocation"}))));
}

TEST_F(MetaSelection, TheLastOneCountsAlsoWhenItFails) {
  EXPECT_TRUE(Selected(Script().Option(10, MetaData("disk", {})).Option(10, good)));
  EXPECT_FALSE(Selected(Script().Option(10, good).Option(10, MetaData("disk", {}))));
  EXPECT_FALSE(Selected(Script().Option(10, good).Option(10, Script().U32(1))));
  EXPECT_FALSE(Selected(Script().Option(10, good).Option(10, MetaData("nothing", {}))));
  EXPECT_FALSE(
      Selected(Script().Option(10, good).Option(10, Script().Fill(kMaxOptionBytes + 1, 0))));
  // Listing and information select nothing and forget nothing.
  EXPECT_TRUE(Selected(Script().Option(10, good).Option(9, good).Option(6, InfoData("snap"))));
}

}  // namespace
}  // namespace atl::nbd
