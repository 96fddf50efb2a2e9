// SPDX-License-Identifier: Apache-2.0
//
// A lock that is broken by force while its holder lives and goes on renewing its lease: the holder
// notices, and serves nothing from the past.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class LostLock : public Disturbed {
 protected:
  void SetUp() override { ASSERT_TRUE(a_hands_.Create("v", 8 * kMiB).ok()); }
  void TearDown() override {
    (void)a_.Stop();
    EXPECT_TRUE(b_.Stop().ok());
  }
  Status Force(const std::string& name) {
    return env_.Run(b_.atoll().BreakLock(Hands::Ref(name), true));
  }
  Status ReadOf(Device* device) {
    Bytes out(kSubGrain);
    return env_.Run(device->Read(0, out));
  }

  MemoryNode a_{&env_, &world_, {.name = "a"}};
  MemoryNode b_{&env_, &world_, {.name = "b"}};
  Hands a_hands_{&env_, &a_.atoll()};
  Hands b_hands_{&env_, &b_.atoll()};
};

TEST_F(LostLock, AHolderThatGoesOnRenewingItsLeaseServesNoReadsAnyMore) {
  ASSERT_TRUE(a_hands_.Write("v", 0, "old", true).ok());
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(ReadOf(device.get()).ok());
  ASSERT_TRUE(Force("v").ok());
  ASSERT_TRUE(b_hands_.Write("v", 0, "new", true).ok());
  ASSERT_TRUE(env_.Run(b_.atoll().Acquire(Hands::Ref("v"))).ok());
  env_.RunUntilIdleFor(6 * kSecond);
  const Status read = ReadOf(device.get());
  EXPECT_EQ(read.code(), Code::kFenced) << read.ToString();
  EXPECT_THAT(read.message(), HasSubstr("no longer this node's"));
  EXPECT_THAT(read.message(), HasSubstr("b (process"));
  EXPECT_EQ(env_.Run(device->Extents({0, kMiB}, 16)).code(), Code::kFenced) << "a hole of the past";
  const auto shown = env_.Run(a_.atoll().Show(Hands::Ref("v"), false));
  ASSERT_TRUE(shown.ok());
  EXPECT_FALSE(shown->open);
  EXPECT_THAT(a_hands_.Snap("v", "s").status().message(), HasSubstr("no longer this node's"));
  // Who has it open yet has to go; then the node is as any other.
  EXPECT_THAT(a_hands_.Read("v", 0, 3), HasSubstr("no longer this node's"));
  Close(device);
  EXPECT_THAT(a_hands_.Read("v", 0, 3), HasSubstr("in use by node b"));
  ASSERT_TRUE(env_.Run(b_.atoll().Release(Hands::Ref("v"))).ok());
  EXPECT_EQ(a_hands_.Read("v", 0, 3), "new");
}

TEST_F(LostLock, WhoComesLaterIsNeverShownThePast) {
  ASSERT_TRUE(a_hands_.Write("v", 0, "old", true).ok());
  ASSERT_TRUE(env_.Run(a_.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(Force("v").ok());
  ASSERT_TRUE(b_hands_.Write("v", 0, "new", true).ok());
  EXPECT_THAT(a_hands_.Read("v", 0, 3), HasSubstr("in use by node b")) << "at once";
  ASSERT_TRUE(env_.Run(b_.atoll().Release(Hands::Ref("v"))).ok());
  EXPECT_EQ(a_hands_.Read("v", 0, 3), "new");
}

// Its holder has just opened it, or closed it, and it is to be taken from whoever has it now.
TEST_F(LostLock, ABreakWhoseSwapIsLostLooksAgain) {
  ASSERT_TRUE(env_.Run(a_.atoll().Acquire(Hands::Ref("v"))).ok());
  int lost = 2;
  b_.hooks().fail = [&lost](const StoreCall& call) -> Status {
    const auto* key = std::get_if<RecordKey>(&call.target);
    const bool swap = call.op == StoreOp::kSwapRecord && key->kind == RecordKind::kLock;
    return swap && lost-- > 0 ? Status(Code::kConflict, "another version") : OkStatus();
  };
  const Status broken = Force("v");
  b_.hooks().Clear();
  EXPECT_TRUE(broken.ok()) << broken.ToString();
  EXPECT_TRUE(b_hands_.Write("v", 0, "new", true).ok());
}

TEST_F(LostLock, AVolumeThatHasFailedBeforeServesNoReadsEither) {
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  a_.hooks().fail = [](const StoreCall& call) -> Status {
    return call.op == StoreOp::kSync ? Status(Code::kIo, "as told") : OkStatus();
  };
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
  a_.hooks().Clear();
  EXPECT_TRUE(ReadOf(device.get()).ok());
  ASSERT_TRUE(Force("v").ok());
  env_.RunUntilIdleFor(6 * kSecond);
  EXPECT_EQ(ReadOf(device.get()).code(), Code::kFenced);
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kFenced);
  Close(device);
  EXPECT_THAT(env_.Run(b_.atoll().Show(Hands::Ref("v"), false))->read_only_reason,
              HasSubstr("as told"));
}

TEST_F(LostLock, AHoldIsNotClaimedAfterItWasLost) {
  ASSERT_TRUE(env_.Run(a_.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(Force("v").ok());
  ASSERT_TRUE(env_.Run(b_.atoll().Acquire(Hands::Ref("v"))).ok());
  const Status held = env_.Run(a_.atoll().Acquire(Hands::Ref("v")));
  EXPECT_EQ(held.code(), Code::kBusy) << held.ToString();
  EXPECT_THAT(held.message(), HasSubstr("in use by node b"));
}

// Its own flush finds out before the watch does.
TEST_F(LostLock, AHoldEndsHoweverTheLossIsNoticed) {
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(env_.Run(a_.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  ASSERT_TRUE(Force("v").ok());
  ASSERT_TRUE(env_.Run(b_.atoll().Acquire(Hands::Ref("v"))).ok());
  const Status flushed = env_.Run(device->Flush());
  EXPECT_EQ(flushed.code(), Code::kFenced) << flushed.ToString();
  Close(device);
  env_.RunUntilIdleFor(10 * kSecond);
  ASSERT_TRUE(env_.Run(b_.atoll().Release(Hands::Ref("v"))).ok());
  const Status again = env_.Run(a_.atoll().Acquire(Hands::Ref("v")));
  EXPECT_TRUE(again.ok()) << again.ToString();
}

TEST_F(LostLock, ClosingAVolumeThatWasLostIsNoFailure) {
  ASSERT_TRUE(a_hands_.Snap("v", "s").ok());
  ASSERT_TRUE(env_.Run(a_.atoll().Acquire(Hands::Ref("v"))).ok());
  ASSERT_TRUE(Force("v").ok());
  const Status closed = env_.Run(a_.atoll().Release(Hands::Ref("v")));
  EXPECT_TRUE(closed.ok()) << closed.ToString();
  // The same with something that cannot be flushed any more.
  ASSERT_TRUE(a_hands_.Write("v", 0, "new", false).ok());
  ASSERT_TRUE(Force("v").ok());
  const Status rolled = a_hands_.Rollback("v", "s");
  EXPECT_TRUE(rolled.ok()) << rolled.ToString();
}

TEST_F(LostLock, AWriterWhoWaitsForRoomIsTold) {
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(WriteGrain(device.get(), 0, 'x').ok());
  a_.hooks().fail = [](const StoreCall& call) -> Status {
    return IsHeaderSwap(call) ? Status(Code::kNoSpace, "full") : OkStatus();
  };
  const auto writer = Begin(ToggleMany(device.get(), 1, 1'000'000));
  env_.RunUntilIdleFor(2 * kSecond);
  ASSERT_FALSE(writer->ended);
  ASSERT_TRUE(Force("v").ok());
  env_.RunUntilIdleFor(6 * kSecond);
  ASSERT_TRUE(writer->ended);
  EXPECT_EQ(writer->status.code(), Code::kFenced) << writer->status.ToString();
  a_.hooks().Clear();
  Close(device);
}

TEST_F(LostLock, AReaderOfASnapshotIsToldBeforeItsBlocksMayGo) {
  ASSERT_TRUE(a_hands_.Snap("v", "s").ok());
  auto reader = a_hands_.Open("s");
  ASSERT_TRUE(ReadOf(reader.get()).ok());
  ASSERT_TRUE(Force("s").ok());
  auto other = b_hands_.Open("s");
  ASSERT_TRUE(ReadOf(other.get()).ok());
  env_.RunUntilIdleFor(6 * kSecond);
  EXPECT_EQ(ReadOf(reader.get()).code(), Code::kFenced);
  EXPECT_TRUE(ReadOf(other.get()).ok());
  Close(other);
  Close(reader);
  EXPECT_EQ(a_hands_.Read("s", 0, 1), std::string(1, '\0'));
}

// Who has it now is of interest to people only.
TEST_F(LostLock, ALossCountsAlsoIfNobodyCanSayWhoHasIt) {
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(ReadOf(device.get()).ok());
  ASSERT_TRUE(Force("v").ok());
  int looks = 0;
  a_.hooks().fail = [&looks](const StoreCall& call) -> Status {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (key == nullptr || key->kind != RecordKind::kLock) return {};
    return ++looks % 2 == 0 ? Status(Code::kUnavailable, "away") : OkStatus();
  };
  env_.RunUntilIdleFor(6 * kSecond);
  EXPECT_EQ(looks, 2);
  EXPECT_EQ(ReadOf(device.get()).code(), Code::kFenced);
  a_.hooks().Clear();
  Close(device);
}

// A store that does not answer proves nothing.
TEST_F(LostLock, ALockThatCannotBeReadIsNotTakenForLost) {
  auto device = a_hands_.Open("v");
  ASSERT_TRUE(ReadOf(device.get()).ok());
  int refused = 0;
  a_.hooks().fail = [&refused](const StoreCall& call) -> Status {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (key == nullptr || key->kind != RecordKind::kLock) return {};
    ++refused;
    return {Code::kUnavailable, "away"};
  };
  env_.RunUntilIdleFor(60 * kSecond);
  EXPECT_GE(refused, 10);
  EXPECT_TRUE(ReadOf(device.get()).ok());
  a_.hooks().Clear();
  Close(device);
}

}  // namespace
}  // namespace atl
