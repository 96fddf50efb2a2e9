// SPDX-License-Identifier: Apache-2.0
//
// Requests that end within the call: what keeps them from it, and that they keep all promises.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class AtOnce : public Disturbed {
 protected:
  void SetUp() override {
    node_.emplace(&env_, &world_, NodeOptions{.lease_term_ns = kTerm});
    node_->hooks().at_once = true;
    hands_.emplace(&env_, &node_->atoll());
    ASSERT_TRUE(hands_->Create("v", kMiB).ok());
    device_ = hands_->Open("v");
    for (uint64_t grain = 0; grain < 4; ++grain) {
      ASSERT_TRUE(WriteGrain(device_.get(), grain, 'a').ok());
    }
  }
  void TearDown() override {
    node_->hooks().Clear();
    if (device_) Close(device_);
    EXPECT_EQ(node_->Stop().ok(), stops_well_);
  }
  bool Reads(uint64_t grain, char expected) {
    Bytes out(kSubGrain);
    if (!device_->TryRead(grain * kSubGrain, out)) return false;
    EXPECT_EQ(out, Bytes(kSubGrain, std::byte(expected)));
    return true;
  }
  bool Writes(uint64_t grain, char fill, DeviceWriteOptions options = {}) {
    return device_->TryWrite(grain * kSubGrain, Bytes(kSubGrain, std::byte(fill)), options);
  }

  // The first request after an opening keeps others behind it for a moment.
  void ReadOnce() {
    Bytes out(1);
    ASSERT_TRUE(env_.Run(device_->Read(0, out)).ok());
    LetRun();
  }

  static constexpr int64_t kTerm = 15 * kSecond;
  std::optional<MemoryNode> node_;
  std::optional<Hands> hands_;
  std::unique_ptr<Device> device_;
  bool stops_well_ = true;
};

TEST_F(AtOnce, AnOverwriteIsAndAFirstWriteIsNot) {
  EXPECT_TRUE(Writes(0, 'b'));
  EXPECT_TRUE(Reads(0, 'b'));
  EXPECT_FALSE(Writes(10, 'b')) << "it changes the map";
  EXPECT_TRUE(Reads(10, 0)) << "nothing was ever stored there";
}

TEST_F(AtOnce, NothingIsBeforeItsVolumeIsOpen) {
  Close(device_);
  env_.RunUntilIdleFor(2 * OpenTable::kLinger);
  device_ = hands_->Open("v");
  EXPECT_FALSE(Reads(0, 'a'));
  EXPECT_FALSE(Writes(0, 'b'));
  ReadOnce();
  EXPECT_TRUE(Reads(0, 'a'));
}

TEST_F(AtOnce, NothingOvertakesWhatItOverlaps) {
  Event go;
  node_->hooks().hold_before = [&go](const StoreCall& call) {
    return call.op == StoreOp::kWrite ? &go : nullptr;
  };
  const Bytes data(100, std::byte{'b'});
  const auto write = Begin(device_->Write(kSubGrain + 10, data, {}));
  EXPECT_FALSE(Reads(1, 'a'));
  EXPECT_FALSE(Writes(1, 'c'));
  Bytes last(1);
  EXPECT_FALSE(device_->TryRead(2 * kSubGrain - 1, last)) << "order is by whole sub-grains";
  EXPECT_TRUE(Reads(2, 'a'));
  EXPECT_TRUE(Writes(0, 'c'));
  node_->hooks().hold_before = nullptr;
  go.Set();
  LetRun();
  ASSERT_TRUE(write->ended && write->status.ok());
  EXPECT_TRUE(Writes(1, 'd'));
  EXPECT_TRUE(Reads(1, 'd'));
}

TEST_F(AtOnce, AReaderKeepsNoReaderOutAndAWriter) {
  Event go;
  node_->hooks().hold_before = [&go](const StoreCall& call) {
    return call.op == StoreOp::kRead ? &go : nullptr;
  };
  Bytes out(kSubGrain);
  const auto read = Begin(device_->Read(kSubGrain, out));
  EXPECT_TRUE(Reads(1, 'a'));
  EXPECT_FALSE(Writes(1, 'b'));
  node_->hooks().hold_before = nullptr;
  go.Set();
  LetRun();
  EXPECT_TRUE(read->ended && read->status.ok());
  EXPECT_EQ(out, Bytes(kSubGrain, std::byte{'a'}));
}

TEST_F(AtOnce, NobodyPassesAClosedGate) {
  Event go;
  node_->hooks().hold_before = [&go](const StoreCall& call) {
    return IsHeaderSwap(call) ? &go : nullptr;
  };
  const auto snap = Begin(SnapTask(&node_->atoll(), "v", "s", env_.NewUuid()));
  ASSERT_FALSE(snap->ended);
  EXPECT_FALSE(Reads(0, 'a'));
  EXPECT_FALSE(Writes(0, 'b'));
  node_->hooks().hold_before = nullptr;
  go.Set();
  env_.RunUntilIdleFor(kSecond);
  ASSERT_TRUE(snap->ended && snap->status.ok()) << snap->status.ToString();
}

TEST_F(AtOnce, WhatASnapshotHasIsNotOverwritten) {
  ASSERT_TRUE(hands_->Snap("v", "s").ok());
  EXPECT_TRUE(Reads(0, 'a'));
  EXPECT_FALSE(Writes(0, 'b'));
  ASSERT_TRUE(WriteGrain(device_.get(), 0, 'b').ok());
  EXPECT_TRUE(Writes(0, 'c'));
  EXPECT_EQ(hands_->Read("s", 0, 2), "aa");
}

TEST_F(AtOnce, WhatMustBeDurableOrLookedThroughIsNot) {
  EXPECT_FALSE(Writes(0, 'b', {.fua = true}));
  EXPECT_TRUE(Writes(0, 'b', {.detect_zeroes = true}));
  EXPECT_FALSE(Writes(0, 0, {.detect_zeroes = true}));
  EXPECT_TRUE(Reads(0, 'b'));
}

TEST_F(AtOnce, AFlushCoversIt) {
  ASSERT_TRUE(env_.Run(device_->Flush()).ok());
  ASSERT_TRUE(Writes(0, 'b'));
  ASSERT_TRUE(env_.Run(device_->Flush()).ok());
  world_.PowerLoss(SeedOr(1));
  device_.reset();
  node_->Kill();
  node_.emplace(&env_, &world_);
  hands_.emplace(&env_, &node_->atoll());
  EXPECT_EQ(hands_->Read("v", 0, 2), "bb");
}

TEST_F(AtOnce, AReadOnlyVolumeIsNotWritten) {
  node_->hooks().fail = [](const StoreCall& call) -> Status {
    return call.op == StoreOp::kSync ? Status(Code::kIo, "as told") : OkStatus();
  };
  stops_well_ = false;
  ASSERT_TRUE(Writes(0, 'b'));
  EXPECT_FALSE(env_.Run(device_->Flush()).ok());
  EXPECT_FALSE(Writes(0, 'c'));
  EXPECT_TRUE(Reads(0, 'b'));
}

TEST_F(AtOnce, ASnapshotIsNotWritten) {
  ASSERT_TRUE(hands_->Snap("v", "s").ok());
  Close(device_);
  auto device = env_.Run(node_->atoll().Open(ResourceRef::Named("s"), OpenMode::kReadOnly));
  ASSERT_TRUE(device.ok());
  device_ = *std::move(device);
  ReadOnce();
  EXPECT_TRUE(Reads(0, 'a'));
  EXPECT_FALSE(Writes(0, 'b'));
}

TEST_F(AtOnce, NothingIsBehindTheEndOfTheLease) {
  node_->hooks().fail = [](const StoreCall& call) -> Status {
    return call.op == StoreOp::kSwapRecord ? Status(Code::kUnavailable, "away") : OkStatus();
  };
  stops_well_ = false;
  EXPECT_TRUE(Reads(0, 'a'));
  env_.RunUntilIdleFor(kTerm);
  EXPECT_FALSE(Reads(0, 'a'));
  EXPECT_FALSE(Writes(0, 'b'));
}

TEST_F(AtOnce, NothingIsBehindTheEndOfTheVolume) {
  Bytes out(2);
  EXPECT_FALSE(device_->TryRead(kMiB - 1, out));
  EXPECT_FALSE(device_->TryWrite(kMiB - 1, out, {}));
  EXPECT_FALSE(device_->TryRead(UINT64_MAX - 10, out));
  EXPECT_FALSE(device_->TryRead(0, {}));
}

TEST_F(AtOnce, AreCounted) {
  const Composer& composer = ComposerOf(*node_);
  const uint64_t read = composer.read_bytes(), written = composer.write_bytes();
  ASSERT_TRUE(Reads(0, 'a'));
  ASSERT_TRUE(Writes(0, 'b'));
  EXPECT_EQ(composer.read_bytes() - read, kSubGrain);
  EXPECT_EQ(composer.write_bytes() - written, kSubGrain);
  EXPECT_GE(Take(composer.hops().of(Hop::kRead)).count, 1u);
}

}  // namespace
}  // namespace atl
