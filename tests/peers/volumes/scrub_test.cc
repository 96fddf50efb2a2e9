// SPDX-License-Identifier: Apache-2.0
//
// A scrub reads all data and metadata in the background, no faster than it may, and says what
// cannot be read.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class ScrubTest : public Attack {
 protected:
  void SetUp() override {
    Hands hands = HandsOf(node_);
    ASSERT_TRUE(hands.Create("v", 4 * kMiB).ok());
    ASSERT_TRUE(hands.Write("v", 0, std::string(kMiB, 'o'), true).ok());
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    ASSERT_TRUE(hands.Write("v", 0, std::string(kMiB, 'n'), true).ok());
    ASSERT_TRUE(hands.Create("w", 4 * kMiB).ok());
    ASSERT_TRUE(hands.Write("w", 2 * kMiB, std::string(kMiB, 'w'), true).ok());
  }
  void TearDown() override {
    node_.hooks().Clear();
    Attack::TearDown();
  }
  Result<ScrubStatus> Ask(ScrubSpec spec) { return env_.Run(node_.atoll().Scrub(spec)); }
  ScrubStatus Start(ScrubSpec spec = {}) {
    spec.action = ScrubAction::kStart;
    const auto status = Ask(spec);
    EXPECT_TRUE(status.ok()) << status.status().ToString();
    return status.ok() ? *status : ScrubStatus{};
  }
  ScrubStatus WaitForEnd() {
    for (int i = 0; i < 1000; ++i) {
      const ScrubStatus status = *Ask({});
      if (status.state != ScrubState::kRunning) return status;
      env_.RunUntilIdleFor(100 * kMillisecond);
    }
    ADD_FAILURE() << "it does not end";
    return {};
  }

  MemoryNode& node_ = Attack::Start();
};

TEST_F(ScrubTest, ReadsAllDataOfAllBlobsOnce) {
  EXPECT_EQ(Ask({})->state, ScrubState::kNever);
  uint64_t read = 0;
  node_.hooks().before = [&](const StoreCall& call) {
    if (call.op == StoreOp::kRead && call.range.length > kSector) read += call.range.length;
  };
  const ScrubStatus begun = Start();
  EXPECT_EQ(begun.state, ScrubState::kRunning);
  const ScrubStatus ended = WaitForEnd();
  EXPECT_EQ(ended.state, ScrubState::kDone);
  EXPECT_EQ(read, 3 * kMiB);
  EXPECT_EQ(ended.done_bytes, ended.total_bytes);
  EXPECT_GE(ended.total_bytes, 3 * kMiB);
  EXPECT_EQ(ended.report.errors, 0u);
  EXPECT_EQ(ended.report.resources, 3u);
  EXPECT_GT(ended.ended_ns, 0);
}

TEST_F(ScrubTest, KeepsToItsRateAndShowsHowFarItIs) {
  const int64_t began_ns = env_.BootNs();
  (void)Start({.rate = 256 * kKiB});
  env_.RunUntilIdleFor(6 * kSecond);
  const ScrubStatus half = *Ask({});
  EXPECT_EQ(half.state, ScrubState::kRunning);
  EXPECT_GT(half.done_bytes, kMiB);
  EXPECT_LT(half.done_bytes, 2 * kMiB);
  EXPECT_EQ(WaitForEnd().state, ScrubState::kDone);
  EXPECT_GE(env_.BootNs() - began_ns, 12 * kSecond);
}

TEST_F(ScrubTest, SaysWhatCannotBeReadAndReadsTheRest) {
  int reads = 0;
  node_.hooks().fail = [&](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kRead || call.range.length <= kSector) return {};
    ++reads;
    const bool bad = call.range.offset == 2 * kMiB + 512 * kKiB;
    return bad ? Status(Code::kIo, "the disk says so") : Status();
  };
  (void)Start();
  const ScrubStatus ended = WaitForEnd();
  EXPECT_EQ(ended.state, ScrubState::kDone);
  ASSERT_EQ(ended.report.errors, 1u);
  EXPECT_THAT(ended.report.findings[0].what, HasSubstr("262144 bytes from 2621440 on"));
  EXPECT_THAT(ended.report.findings[0].what, HasSubstr("the disk says so"));
  EXPECT_EQ(reads, 12);
  node_.hooks().fail = nullptr;
  EXPECT_EQ(Ask({})->report.errors, 1u) << "kept until the next one";
  (void)Start();
  EXPECT_EQ(WaitForEnd().report.errors, 0u);
}

TEST_F(ScrubTest, OneRunsAtATimeAndCanBeCancelled) {
  (void)Start({.rate = kMinScrubRate});
  env_.RunUntilIdleFor(kSecond);
  EXPECT_EQ(Ask({.action = ScrubAction::kStart}).code(), Code::kBusy);
  EXPECT_EQ(Ask({.action = ScrubAction::kCancel})->state, ScrubState::kRunning);
  EXPECT_EQ(WaitForEnd().state, ScrubState::kCancelled);
  (void)Start();
  EXPECT_EQ(WaitForEnd().state, ScrubState::kDone);
  EXPECT_EQ(Ask({.action = ScrubAction::kStart, .rate = 1}).code(), Code::kInvalid);
}

TEST_F(ScrubTest, OfOneResourceReadsWhatThatReadsFrom) {
  uint64_t read = 0;
  node_.hooks().before = [&](const StoreCall& call) {
    if (call.op == StoreOp::kRead && call.range.length > kSector) read += call.range.length;
  };
  (void)Start({.only = Hands::Ref("w")});
  const ScrubStatus ended = WaitForEnd();
  EXPECT_EQ(ended.resource, "w");
  EXPECT_EQ(ended.report.resources, 1u);
  EXPECT_EQ(read, kMiB);
}

TEST_F(ScrubTest, ANodeThatStopsEndsIt) {
  (void)Start({.rate = kMinScrubRate});
  env_.RunUntilIdleFor(kSecond);
  const int64_t before_ns = env_.BootNs();
  EXPECT_TRUE(node_.Stop().ok());
  EXPECT_LT(env_.BootNs() - before_ns, 5 * kSecond);
}

// What is removed while it is being read is no damage.
TEST_F(ScrubTest, AResourceThatIsRemovedMeanwhileIsNoDamage) {
  bool removed = false;
  node_.hooks().before = [&](const StoreCall& call) {
    if (call.op == StoreOp::kRead && call.range.length > kSector) removed = true;
  };
  (void)Start({.rate = 256 * kKiB});
  for (int i = 0; i < 100 && !removed; ++i) env_.RunUntilIdleFor(10 * kMillisecond);
  ASSERT_TRUE(removed);
  Hands hands = HandsOf(node_);
  for (const char* name : {"w", "s", "v"}) {
    ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref(name))).ok());
    ASSERT_TRUE(hands.Remove(name).ok());
  }
  ASSERT_TRUE(hands.Collect().ok());
  const ScrubStatus ended = WaitForEnd();
  EXPECT_EQ(ended.state, ScrubState::kDone);
  EXPECT_EQ(ended.report.errors, 0u)
      << (ended.report.findings.empty() ? "" : ended.report.findings[0].what);
}

}  // namespace
}  // namespace atl
