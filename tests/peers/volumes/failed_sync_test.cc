// SPDX-License-Identifier: Apache-2.0
//
// Promise 4 beyond the life of an open volume: what a failed sync has lost is not forgotten when
// the volume is closed, whether its header could be told or not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

const std::string kNothing(4, '\0');

bool IsHeaderSwap(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key != nullptr && key->kind == RecordKind::kHeader;
}

class FailedSync : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto made = hands_.Create("v", kMiB);
    ASSERT_TRUE(made.ok());
    uuid_ = made->uuid;
  }
  void TearDown() override { (void)node_.Stop(); }
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  // A client writes, its flush fails, it leaves, and the volume is closed.
  void FailAFlush(const std::function<Status(const StoreCall&)>& fail) {
    auto device = hands_.Open("v");
    const std::string text = "data";
    ASSERT_TRUE(env_.Run(device->Write(0, AsBytes(text), {})).ok());
    node_.hooks().fail = fail;
    EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
    env_.Run(CloseTask(device.get()));
    env_.RunUntilIdleFor(3 * kSecond);
    ASSERT_FALSE(node_.atoll().open_table().is_open(uuid_));
  }
  Status FlushAnew() {
    auto client = hands_.Open("v");
    const Status flushed = env_.Run(client->Flush());
    env_.Run(CloseTask(client.get()));
    return flushed;
  }
  Header ReadIt() {
    const auto header = env_.Run(ReadHeader(&node_.store(), uuid_, ReadFor::kLook));
    EXPECT_TRUE(header.ok());
    return header.ok() ? header->header : Header{};
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
  Uuid uuid_;
};

Status SickDisk(const StoreCall& call) {
  if (call.op != StoreOp::kSync && !IsHeaderSwap(call)) return {};
  return {Code::kIo, "the disk is sick"};
}
Status NoHeaders(const StoreCall& call) {
  return IsHeaderSwap(call) ? Status(Code::kIo, "the disk is sick") : OkStatus();
}
Status NoSync(const StoreCall& call) {
  return call.op == StoreOp::kSync ? Status(Code::kIo, "the disk is sick") : OkStatus();
}

TEST_F(FailedSync, ThatCouldNotBeRecordedIsRecordedAtTheNextOpen) {
  FailAFlush(SickDisk);
  EXPECT_EQ(ReadIt().read_only_reason, "");
  node_.hooks().fail = nullptr;  // Only the writeback of those pages was lost.
  const Status flushed = FlushAnew();
  EXPECT_EQ(flushed.code(), Code::kReadOnly) << "acknowledged after a failed sync";
  EXPECT_THAT(std::string(flushed.message()), HasSubstr("the disk is sick"));
  EXPECT_THAT(ReadIt().read_only_reason, HasSubstr("the disk is sick"));
  EXPECT_EQ(hands_.Write("v", 0, "more").code(), Code::kReadOnly);
  EXPECT_EQ(hands_.Read("v", 0, 4), kNothing) << "reading goes on, of what is durable";
}

TEST_F(FailedSync, ThatCannotBeRecordedKeepsTheVolumeClosed) {
  FailAFlush(SickDisk);
  node_.hooks().fail = NoHeaders;
  for (int i = 0; i < 2; ++i) {
    const Status flushed = FlushAnew();
    EXPECT_EQ(flushed.code(), Code::kReadOnly) << flushed.ToString();
    EXPECT_THAT(std::string(flushed.message()), HasSubstr("could not be recorded"));
  }
  node_.hooks().fail = nullptr;
  EXPECT_EQ(FlushAnew().code(), Code::kReadOnly);
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_EQ(ReadIt().read_only_reason, "");
  EXPECT_TRUE(hands_.Write("v", 0, "more", true).ok()) << "an administrator has acted";
  EXPECT_TRUE(FlushAnew().ok());
}

TEST_F(FailedSync, AnAdministratorMayActBeforeItIsRecorded) {
  FailAFlush(SickDisk);
  node_.hooks().fail = nullptr;
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_TRUE(hands_.Write("v", 0, "more", true).ok());
}

// A store that has lost its trust in a blob neither gives it back nor syncs it, as long as it
// lives.
TEST_F(FailedSync, ThatSpoiledABlobLeavesItReadableAndBehind) {
  FailAFlush(NoSync);
  ASSERT_THAT(ReadIt().read_only_reason, HasSubstr("the disk is sick"));
  const BlobId spoiled = ReadIt().blob();
  node_.hooks().fail = [spoiled](const StoreCall& call) -> Status {
    const auto* blob = std::get_if<BlobId>(&call.target);
    if (blob == nullptr || *blob != spoiled) return {};
    if (call.op == StoreOp::kAdopt) return {Code::kFenced, "given up"};
    if (call.op == StoreOp::kSync) return {Code::kIo, "after a failed sync"};
    return {};
  };
  EXPECT_EQ(hands_.Read("v", 0, 4), kNothing);
  EXPECT_EQ(hands_.Write("v", 0, "more").code(), Code::kReadOnly);
  const Status opened = env_.Run(node_.atoll().Acquire(Hands::Ref("v")));
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  EXPECT_TRUE(hands_.Write("v", 0, "more", true).ok());
  EXPECT_NE(ReadIt().blob(), spoiled);
  EXPECT_EQ(hands_.Read("v", 0, 4), "more");
}

TEST_F(FailedSync, ThatComesAgainWhileTheVolumeOpensLeavesItReadableAndBehind) {
  const BlobId spoiled = ReadIt().blob();
  FailAFlush(NoSync);
  node_.hooks().fail = [spoiled](const StoreCall& call) -> Status {
    const auto* blob = std::get_if<BlobId>(&call.target);
    const bool sync = call.op == StoreOp::kSync && blob != nullptr && *blob == spoiled;
    return sync ? Status(Code::kIo, "the disk is sick") : OkStatus();
  };
  EXPECT_EQ(hands_.Read("v", 0, 4), kNothing);
  const Status opened = env_.Run(node_.atoll().Acquire(Hands::Ref("v")));
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  EXPECT_TRUE(hands_.Write("v", 0, "more", true).ok());
}

TEST_F(FailedSync, OfAVolumeThatIsNotKnownToHaveFailedRefusesTheOpen) {
  ASSERT_TRUE(hands_.Write("v", 0, "data", true).ok());
  ASSERT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref("v"))).ok());
  node_.hooks().fail = NoSync;
  EXPECT_EQ(hands_.Write("v", 0, "more").code(), Code::kIo);
  node_.hooks().fail = nullptr;
  // The disk may have told it once, and who opens the volume now would not know.
  EXPECT_EQ(hands_.Write("v", 0, "more", true).code(), Code::kReadOnly);
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_TRUE(hands_.Write("v", 0, "more", true).ok());
}

// --- What the disk has refused -------------------------------------------------------------------

class SpoiledByAFailedSync : public FailedSync,
                             public ::testing::WithParamInterface<std::tuple<uint64_t, bool>> {
 protected:
  uint64_t seed() const { return std::get<0>(GetParam()); }
  bool at_once() const { return std::get<1>(GetParam()); }
  // A snapshot, then first writes of which nothing is durable but the flushed ones. What the disk
  // refuses is lost at once, or when the cache is.
  void Spoil(StoreOp which) {
    ASSERT_TRUE(hands_.Write("v", 0, std::string(kMiB, 'a'), true).ok());
    ASSERT_TRUE(hands_.Snap("v", "s").ok());
    ASSERT_TRUE(hands_.Write("v", 0, std::string(64 * kKiB, 'b'), true).ok());
    auto device = hands_.Open("v");
    const std::string unflushed(512 * kKiB, 'c');
    ASSERT_TRUE(env_.Run(device->Write(32 * kKiB, AsBytes(unflushed), {})).ok());
    const Header header = ReadIt();
    node_.hooks().fail = [=, this](const StoreCall& call) -> Status {
      if (call.op != which) return {};
      if (which == StoreOp::kSync && at_once()) world_.LoseUnsynced(header.blob(), seed());
      if (which == StoreOp::kSyncLog && at_once()) world_.LoseUnsynced(header.journal(), seed());
      return {Code::kIo, "the disk is sick"};
    };
    EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
    node_.hooks().fail = nullptr;
    env_.Run(CloseTask(device.get()));
    env_.RunUntilIdleFor(3 * kSecond);
  }
  // Whether what was not flushed is there is open, sector by sector; zeros nobody has written.
  void ExpectFlushed(Hands& hands) {
    const std::string found = hands.Read("v", 0, kMiB);
    ASSERT_EQ(found.size(), kMiB) << found;
    for (uint64_t at = 0; at < kMiB; at += kSector) {
      const std::string sector = found.substr(at, kSector);
      const char flushed = at < 64 * kKiB ? 'b' : 'a';
      const bool may_be_new = at >= 32 * kKiB && at < 544 * kKiB;
      ASSERT_TRUE(sector == std::string(kSector, flushed) ||
                  (may_be_new && sector == std::string(kSector, 'c')))
          << at << ": " << int{sector[0]};
    }
    EXPECT_EQ(hands.Read("s", 0, kMiB), std::string(kMiB, 'a'));
  }
};
INSTANTIATE_TEST_SUITE_P(Seeds, SpoiledByAFailedSync,
                         ::testing::Combine(::testing::Range<uint64_t>(1, 6), ::testing::Bool()));

TEST_P(SpoiledByAFailedSync, WhatWasFlushedBeforeIsThere) {
  Spoil(StoreOp::kSync);
  ExpectFlushed(hands_);
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  ExpectFlushed(hands_);
  EXPECT_FALSE(ReadIt().sync_failed);
}

// What no header may name: bytes of a journal that power could take back.
TEST_P(SpoiledByAFailedSync, NorDoesTheNextLossOfPowerTakeTheVolume) {
  Spoil(StoreOp::kSyncLog);
  ASSERT_TRUE(env_.Run(node_.atoll().Acquire(Hands::Ref("v"))).ok());
  ExpectFlushed(hands_);
  ASSERT_TRUE(hands_.Write("v", kMiB - kSubGrain, std::string(kSubGrain, 'a'), true).ok());
  world_.PowerLoss(seed());
  node_.Kill();
  MemoryNode next(&env_, &world_, {.name = "next"});
  ASSERT_TRUE(env_.Run(next.atoll().BuryPredecessor(node_.incarnation())).ok());
  Hands hands(&env_, &next.atoll());
  ExpectFlushed(hands);
  EXPECT_TRUE(next.Stop().ok());
}

}  // namespace
}  // namespace atl
