// SPDX-License-Identifier: Apache-2.0
//
// Stores that fail, leases that run out, counts that must be exact. Names as in docs/attacks.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "peers/mapper/root_store.h"
#include "peers/mapper/volume_map.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

class Failure : public ::testing::Test {
 protected:
  Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  TestEnv env_;
  MemoryWorld world_;
};

// S13, promise 4: after a failed sync nothing is acknowledged on hope, by anybody, until an
// administrator acts. The reason is in the header before the client hears of it.
TEST_F(Failure, S13AFailedSyncTurnsTheVolumeReadOnlyWithTheReason) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  const auto made = hands.Create("v", kMiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  auto device = hands.Open("v");
  const Bytes data(512, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  node.hooks().fail = [](const StoreCall& call) {
    return call.op == StoreOp::kSync ? Status(Code::kIo, "the disk is on fire") : OkStatus();
  };
  const Status flushed = env_.Run(device->Flush());
  EXPECT_EQ(flushed.code(), Code::kReadOnly);
  EXPECT_THAT(std::string(flushed.message()), HasSubstr("the disk is on fire"));
  node.hooks().fail = nullptr;
  EXPECT_EQ(env_.Run(device->Write(0, data, {})).code(), Code::kReadOnly);
  EXPECT_EQ(env_.Run(device->Flush()).code(), Code::kReadOnly);
  auto other = hands.Open("v");
  EXPECT_EQ(env_.Run(other->Write(0, data, {})).code(), Code::kReadOnly);
  Bytes out(512);
  EXPECT_TRUE(env_.Run(other->Read(0, out)).ok()) << "reading goes on";
  const auto header = env_.Run(ReadHeader(&node.stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok());
  EXPECT_THAT(header->header.read_only_reason, HasSubstr("the disk is on fire"));
  env_.Run(CloseTask(device.get()));
  env_.Run(CloseTask(other.get()));
  (void)node.Stop();

  MemoryNode next(&env_, &world_);
  Hands again(&env_, &next.atoll());
  EXPECT_EQ(again.Write("v", 0, "y").code(), Code::kReadOnly);
  env_.RunUntilIdleFor(3 * kSecond);
  ASSERT_TRUE(env_.Run(next.atoll().Acquire(Hands::Ref("v"))).ok());
  EXPECT_TRUE(again.Write("v", 0, "y", true).ok());
  EXPECT_TRUE(next.Stop().ok());
}

// m12: a journal that cannot be appended to is closed; nothing that it does not hold is
// acknowledged.
TEST_F(Failure, M12AJournalThatCannotBeAppendedToClosesTheVolume) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data", true).ok());
  auto device = hands.Open("v");
  int failures = 1;
  node.hooks().fail = [&](const StoreCall& call) {
    if (call.op != StoreOp::kAppend || failures == 0) return OkStatus();
    --failures;
    return Status(Code::kIo, "no");
  };
  const Bytes data(kSubGrain, std::byte{'x'});
  EXPECT_TRUE(env_.Run(device->Write(64 * kKiB, data, {})).ok()) << "one failure is repeated away";
  failures = 1000;
  EXPECT_EQ(env_.Run(device->Write(128 * kKiB, data, {})).code(), Code::kReadOnly);
  failures = 0;
  EXPECT_EQ(env_.Run(device->Write(192 * kKiB, data, {})).code(), Code::kReadOnly);
  EXPECT_EQ(env_.Run(device->Write(64 * kKiB, data, {})).code(), Code::kReadOnly);
  env_.Run(CloseTask(device.get()));
  (void)node.Stop();
}

// S6: a node that cannot renew its lease stops before another may take over, by its own clock.
TEST_F(Failure, S6ANodeWithoutALeaseNeitherWritesNorAnswers) {
  MemoryNode node(&env_, &world_, {.lease_term_ns = 15 * kSecond});
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto device = hands.Open("v");
  const Bytes data(512, std::byte{'x'});
  ASSERT_TRUE(env_.Run(device->Write(0, data, {})).ok());
  node.hooks().fail = [](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    const bool lease = key != nullptr && key->kind == RecordKind::kLease;
    return lease ? Status(Code::kUnavailable, "gone") : OkStatus();
  };
  env_.RunUntilIdleFor(8 * kSecond);
  EXPECT_TRUE(env_.Run(device->Write(0, data, {})).ok()) << "the term has not passed";
  env_.RunUntilIdleFor(12 * kSecond);
  EXPECT_EQ(env_.Run(device->Write(0, data, {})).code(), Code::kFenced);
  Bytes out(512);
  EXPECT_EQ(env_.Run(device->Read(0, out)).code(), Code::kFenced);
  env_.Run(CloseTask(device.get()));
  (void)node.Stop();
}

// S9, Q3: connecting takes no lock, the first request does; removal and opening exclude each other.
TEST_F(Failure, S9ConnectingTakesNoLockAndRemovalIsRefusedToUsers) {
  MemoryNode node(&env_, &world_, {.name = "a"});
  MemoryNode other(&env_, &world_, {.name = "b"});
  Hands hands(&env_, &node.atoll());
  Hands elsewhere(&env_, &other.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  auto connected = hands.Open("v");
  EXPECT_TRUE(elsewhere.Write("v", 0, "b").ok());
  Bytes out(512);
  EXPECT_EQ(env_.Run(connected->Read(0, out)).code(), Code::kBusy);
  EXPECT_EQ(hands.Remove("v").code(), Code::kBusy);
  ASSERT_TRUE(env_.Run(other.atoll().Release(Hands::Ref("v"))).ok());
  EXPECT_TRUE(env_.Run(connected->Read(0, out)).ok());
  EXPECT_EQ(elsewhere.Remove("v").code(), Code::kBusy);
  EXPECT_EQ(hands.Remove("v").code(), Code::kBusy) << "its own client is a user, too";
  env_.Run(CloseTask(connected.get()));
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  auto reader = hands.Open("s");
  EXPECT_TRUE(env_.Run(reader->Read(0, out)).ok());
  EXPECT_EQ(elsewhere.Remove("s").code(), Code::kBusy);
  env_.Run(CloseTask(reader.get()));
  EXPECT_TRUE(hands.Remove("s").ok());
  EXPECT_TRUE(hands.Remove("v").ok());
  EXPECT_TRUE(node.Stop().ok());
  EXPECT_TRUE(other.Stop().ok());
}

// m6: a rollback under a client would change what it has cached.
TEST_F(Failure, M6RollbackIsRefusedWhileAClientIsIn) {
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  auto device = hands.Open("v");
  Bytes out(512);
  ASSERT_TRUE(env_.Run(device->Read(0, out)).ok());
  EXPECT_EQ(hands.Rollback("v", "s").code(), Code::kBusy);
  env_.Run(CloseTask(device.get()));
  EXPECT_TRUE(hands.Rollback("v", "s").ok());
  EXPECT_TRUE(node.Stop().ok());
}

// R5, R6: the snapshot goes between the two steps of a rollback, or of a clone.
TEST_F(Failure, R5ASnapshotThatGoesMeanwhileLeavesTheVolumeAsItWas) {
  MemoryNode node(&env_, &world_, {.name = "a"});
  MemoryNode other(&env_, &world_, {.name = "b"});
  Hands hands(&env_, &node.atoll());
  Hands elsewhere(&env_, &other.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "then").ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  ASSERT_TRUE(hands.Write("v", 0, "now!").ok());
  ASSERT_TRUE(hands.Snap("v", "t").ok());
  // The first swap of a header in the operation is the one that says `pending`.
  const auto remove_at_first_swap = [&](const std::string& name, int at) {
    auto count = std::make_shared<int>(0);
    node.hooks().after = [&, name, at, count](const StoreCall& call) {
      const auto* key = std::get_if<RecordKey>(&call.target);
      if (call.op != StoreOp::kSwapRecord || key->kind != RecordKind::kHeader) return;
      if (++*count != at) return;
      node.hooks().after = nullptr;
      Spawn([](LocalAtoll* atoll, std::string name) -> Task<void> {
        const ResourceRef ref = ResourceRef::Named(name);
        const Status status = co_await atoll->Remove(ref);
        EXPECT_TRUE(status.ok()) << status.ToString();
      }(&other.atoll(), name));
    };
  };
  ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
  remove_at_first_swap("s", 1);
  EXPECT_EQ(hands.Rollback("v", "s").code(), Code::kNotFound);
  EXPECT_EQ(hands.Read("v", 0, 4), "now!");
  remove_at_first_swap("t", 1);
  EXPECT_EQ(hands.Clone("c", "t").code(), Code::kNotFound);
  EXPECT_EQ(hands.Names(), std::vector<std::string>{"v"});
  ASSERT_TRUE(hands.Collect().ok());
  EXPECT_EQ(hands.Read("v", 0, 4), "now!");
  EXPECT_TRUE(node.Stop().ok());
  EXPECT_TRUE(other.Stop().ok());
}

// Q8: a source leaves the table when its count is zero, so a count that is wrong loses data.
TEST_F(Failure, Q8CountsAreExactAfterAnyMixOfWritesAndDiscards) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    MemoryWorld world({.seed = seed});
    MemoryNode node(&env_, &world);
    Hands hands(&env_, &node.atoll());
    constexpr uint64_t kSize = 3 * kGiB;
    const auto made = hands.Create("v", kSize);
    ASSERT_TRUE(made.ok());
    auto device = hands.Open("v");
    const Bytes data(16 * kKiB, std::byte{'x'});
    for (int round = 0; round < 14; ++round) {
      for (int i = 0; i < 40; ++i) {
        const uint64_t at = random() % ((kSize - data.size()) / kSubGrain) * kSubGrain;
        ASSERT_TRUE(env_.Run(device->Write(at, data, {})).ok());
      }
      const uint64_t first = random() % (kSize / kMiB) * kMiB;
      const uint64_t length = std::min(kSize - first, (random() % 2048) * kMiB);
      ASSERT_TRUE(env_.Run(device->Discard({first, length}, {})).ok());
      ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(round)).ok());
    }
    env_.Run(CloseTask(device.get()));
    ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
    auto map = env_.Run(VolumeMap::OpenWritable(&env_, &node.stores(), 0, made->uuid, 0));
    ASSERT_TRUE(map.ok()) << map.status().ToString();
    ASSERT_TRUE(env_.Run((*map)->FoldAll()).ok());
    ASSERT_TRUE((*map)->header().map.replay.empty());
    std::map<BlobId, uint64_t> walked;
    MapPieces pieces;
    for (uint64_t at = 0; at < kSize; at += 64 * kMiB) {
      const ByteRange range{at, std::min(64 * kMiB, kSize - at)};
      ASSERT_TRUE(env_.Run((*map)->Translate(range, &pieces)).ok());
      for (const MapPiece& piece : pieces) {
        if (piece.kind != PieceKind::kZero) walked[piece.blob] += piece.range.length / kSubGrain;
      }
    }
    const auto root = env_.Run(ReadRoot(&node.stores(), (*map)->header().map.root));
    ASSERT_TRUE(root.ok());
    std::map<BlobId, uint64_t> counted;
    for (const auto& [index, source] : root->sources) {
      if (source.type == SourceType::kBlob) counted[source.blob()] = source.count;
    }
    EXPECT_EQ(counted, walked);
    EXPECT_TRUE(env_.Run((*map)->Close()).ok());
    EXPECT_TRUE(node.Stop().ok());
  }
}

}  // namespace
}  // namespace atl
