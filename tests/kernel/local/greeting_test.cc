// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/greeting.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <random>

#include "kernel/local/call.h"

namespace atl::local {
namespace {

Greeting HeadOf(const Bytes& bytes) {
  Greeting head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  return head;
}

Greeting Good() { return HeadOf(MakeGreeting({"disk", Mode::kReadOnly})); }

Status Changed(const std::function<void(Greeting&)>& change) {
  Greeting greeting = Good();
  change(greeting);
  return JudgeGreeting(greeting);
}

TEST(LocalGreeting, IsWhatTheBookSays) {
  const Bytes bytes = MakeGreeting({"disk", Mode::kReadOnly});
  ASSERT_EQ(bytes.size(), 36u);
  EXPECT_EQ(AsText(bytes).substr(0, 8), "AtlLocl1");
  EXPECT_EQ(AsText(bytes).substr(8, 8), std::string_view("\1\0\0\0\4\0\0\0", 8));
  EXPECT_EQ(bytes[16], std::byte{1});
  EXPECT_TRUE(IsAllZero(ConstSpan(bytes).subspan(17, 15)));
  EXPECT_EQ(AsText(bytes).substr(32), "disk");
  EXPECT_TRUE(JudgeGreeting(HeadOf(bytes)).ok());
}

TEST(LocalGreeting, WhatIsWrongInItIsNamed) {
  EXPECT_EQ(Changed([](Greeting& g) { g.magic ^= 1; }).code(), Code::kInvalid);
  const Status version = Changed([](Greeting& g) { g.version = 2; });
  EXPECT_EQ(version.code(), Code::kUnsupported);
  EXPECT_EQ(version.message(), "version 2 is not spoken here, but 1 is");
  EXPECT_EQ(Changed([](Greeting& g) { g.name_bytes = 0; }).code(), Code::kInvalid);
  EXPECT_EQ(Changed([](Greeting& g) { g.name_bytes = 201; }).message(),
            "a name has 1 to 200 bytes, not 201");
  EXPECT_EQ(Changed([](Greeting& g) { g.name_bytes = ~0u; }).code(), Code::kInvalid);
  EXPECT_EQ(Changed([](Greeting& g) { g.mode = 2; }).message(), "there is no mode 2");
  EXPECT_EQ(Changed([](Greeting& g) { g.reserved[14] = 1; }).code(), Code::kInvalid);
  EXPECT_TRUE(Changed([](Greeting& g) { g.name_bytes = 200; }).ok());
}

TEST(LocalGreeting, GarbageIsRefusedOrHasItsLimits) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    Greeting greeting = Good();
    auto bytes = std::as_writable_bytes(std::span(&greeting, 1));
    for (uint64_t n = random() % 4; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    if (!JudgeGreeting(greeting).ok()) continue;
    ASSERT_TRUE(greeting.name_bytes >= 1 && greeting.name_bytes <= kMaxNameInGreeting);
    ASSERT_LE(greeting.mode, 1);
  }
}

Answer AnswerOf(const Bytes& bytes) {
  Answer answer;
  std::memcpy(&answer, bytes.data(), sizeof(answer));
  return answer;
}

TEST(LocalAnswer, FactsComeBack) {
  Facts facts{.size = 3 * kGiB, .logical_block = 4096, .max_request = 77, .read_only = true};
  facts.uuid = Uuid::FromRandom(1, 2);
  const Bytes bytes = MakeAnswer(facts);
  ASSERT_EQ(bytes.size(), sizeof(Answer));
  ASSERT_TRUE(JudgeAnswer(AnswerOf(bytes)).ok());
  const auto back = FactsOf(AnswerOf(bytes), "");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->size, 3 * kGiB);
  EXPECT_EQ(back->logical_block, 4096u);
  EXPECT_EQ(back->max_request, 77u);
  EXPECT_TRUE(back->read_only);
  EXPECT_EQ(back->uuid, facts.uuid);
}

TEST(LocalAnswer, ARefusalHasItsReasonWithinLimits) {
  const Bytes bytes = MakeRefusal({Code::kNotFound, std::string(2000, 'x')});
  ASSERT_EQ(bytes.size(), sizeof(Answer) + kMaxAnswerText);
  ASSERT_TRUE(JudgeAnswer(AnswerOf(bytes)).ok());
  const auto back = FactsOf(AnswerOf(bytes), AsText(ConstSpan(bytes).subspan(sizeof(Answer))));
  EXPECT_EQ(back.code(), Code::kNotFound);
  EXPECT_EQ(back.status().message(), std::string(kMaxAnswerText, 'x'));
}

TEST(LocalAnswer, AForeignServerIsNotBelieved) {
  const Bytes bytes = MakeAnswer({});
  for (const auto& change : std::initializer_list<std::function<void(Answer&)>>{
           [](Answer& a) { a.magic = 0; }, [](Answer& a) { a.code = kCodeCount; },
           [](Answer& a) { a.text_bytes = kMaxAnswerText + 1; },
           [](Answer& a) { a.version = 2; }}) {
    Answer answer = AnswerOf(bytes);
    change(answer);
    EXPECT_EQ(JudgeAnswer(answer).code(), Code::kInvalid);
  }
}

// --- Requests.

Result<Call> Judged(uint16_t op, RangeArguments range, size_t buffer, uint16_t flags = 0,
                    bool read_only = false) {
  static Bytes memory(kMiB);
  return JudgeCall(op, flags, std::as_bytes(std::span(&range, 1)), MutSpan(memory).first(buffer),
                   read_only);
}

TEST(LocalCall, WhatMakesSenseIsLetPass) {
  const auto write = Judged(kOpWrite, {512, 4096}, 4096, kFlagFua);
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->range, (ByteRange{512, 4096}));
  EXPECT_TRUE(write->write_options().fua);
  EXPECT_FALSE(write->write_options().detect_zeroes);
  const auto zeroes = Judged(kOpWriteZeroes, {0, kMaxVolumeSize}, 0, kFlagNoHole | kFlagFastOnly);
  ASSERT_TRUE(zeroes.ok());
  EXPECT_TRUE(zeroes->zero_options().no_hole && zeroes->zero_options().fast_only);
  EXPECT_TRUE(JudgeCall(kOpFlush, 0, {}, {}, true).ok());
  EXPECT_TRUE(Judged(kOpRead, {0, 0}, 0, 0, true).ok());
}

TEST(LocalCall, WhatMakesNoSenseIsRefused) {
  EXPECT_EQ(Judged(0, {0, 0}, 0).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kLastOp + 1, {0, 0}, 0).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpRead, {0, 4096}, 4095).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpRead, {0, 0}, 4096).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpRead, {0, 512}, 512, kFlagFua).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpWrite, {0, 512}, 512, kFlagNoHole).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpDiscard, {0, 512}, 512).code(), Code::kInvalid);
  EXPECT_EQ(Judged(kOpFlush, {0, 0}, 0).code(), Code::kInvalid);
  EXPECT_EQ(JudgeCall(kOpRead, 0, {}, {}, false).code(), Code::kInvalid);
}

TEST(LocalCall, NoRangeWrapsAround) {
  for (const uint64_t much : {~uint64_t{0}, ~uint64_t{0} - 511, kMaxVolumeSize + 1}) {
    EXPECT_EQ(Judged(kOpRead, {much, 1024}, 1024).code(), Code::kInvalid);
    EXPECT_EQ(Judged(kOpDiscard, {512, much}, 0).code(), Code::kInvalid);
  }
  const auto far = Judged(kOpDiscard, {kMaxVolumeSize, kMaxVolumeSize}, 0);
  ASSERT_TRUE(far.ok());
  EXPECT_FALSE(far->is_inside(kMaxVolumeSize));
}

TEST(LocalCall, NothingIsChangedThroughAReadOnlyDevice) {
  EXPECT_EQ(Judged(kOpWrite, {0, 512}, 512, 0, true).code(), Code::kReadOnly);
  EXPECT_EQ(Judged(kOpDiscard, {0, 512}, 0, 0, true).code(), Code::kReadOnly);
  EXPECT_EQ(Judged(kOpWriteZeroes, {0, 512}, 0, 0, true).code(), Code::kReadOnly);
  EXPECT_TRUE(Judged(kOpRead, {0, 512}, 512, 0, true).ok());
}

}  // namespace
}  // namespace atl::local
