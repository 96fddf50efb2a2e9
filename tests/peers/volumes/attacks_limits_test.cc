// SPDX-License-Identifier: Apache-2.0
//
// Attacks by fullness: of the journal, of the store, of the source table and the replay list.
#include <set>

#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using AttackLimits = Attack;

// Q4: the journal is full while its checkpoint is under way, and the checkpoint that would empty it
// waits for those who wait for it.
TEST_F(AttackLimits, Q4WritersGetPastAFullJournal) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", kGiB).ok());
  auto device = hands.Open("v");
  ASSERT_TRUE(WriteNow(device.get(), 0, "q").ok());
  node.hooks().hold_before = Once(Is(StoreOp::kSyncLog));
  uint64_t end = 0;
  std::set<LogId> journals;  // That something was put into.
  node.hooks().before = [&](const StoreCall& call) {
    const auto* log = std::get_if<LogId>(&call.target);
    if (log == nullptr || log->kind != LogKind::kJournal) return;
    if (call.op != StoreOp::kAppend) return;
    end = std::max(end, call.range.end());
    journals.insert(*log);
  };
  auto fill = [](Device* device) -> Task<Status> {
    const Bytes data(kSubGrain, std::byte{'q'});
    // One at a time, so that each change is a batch of 80 bytes: more than a journal's 16 MiB.
    for (uint64_t i = 0; i < 110'000; ++i) {
      const ByteRange range{(1 + i % 64) * 2 * kSubGrain, kSubGrain};
      CO_RETURN_IF_ERROR(co_await device->Write(range.offset, data, {}));
      CO_RETURN_IF_ERROR(co_await device->Discard(range, {}));
    }
    co_return OkStatus();
  };
  const auto filling = Begin(fill(device.get()));
  ASSERT_TRUE(held_);  // The checkpoint.
  ASSERT_FALSE(filling->ended);
  EXPECT_GT(end, kJournalCapacity - 2 * kJournalBarrierReserve);
  EXPECT_EQ(journals.size(), 1u);
  LetGo();
  ASSERT_NO_FATAL_FAILURE(Await(filling));
  EXPECT_TRUE(filling->status.ok()) << filling->status.ToString();
  EXPECT_GT(journals.size(), 1u);
  // Barriers are what the rest is for.
  EXPECT_LT(end, kJournalCapacity - kJournalBarrierReserve + kKiB);
  EXPECT_EQ(hands.Read("v", 0, 1), "q");
  node.hooks().before = nullptr;
  Close(device.get());
}

// Q5: a store that is full cannot even remove.
TEST(AttackFullStore, Q5AFullStoreStillRemoves) {
  TestEnv env;
  MemoryWorld world({.capacity_bytes = 8 * kMiB, .reserve_bytes = 2 * kMiB});
  MemoryNode node(&env, &world);
  Hands hands(&env, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kGiB).ok());
  Status status;
  for (uint64_t at = 0; status.ok() && at < 64 * kMiB; at += kMiB) {
    status = hands.Write("v", at, std::string(kMiB, 'x'));
  }
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  EXPECT_EQ(hands.Read("v", 0, 1), "x");
  const Status removed = hands.Remove("v");
  EXPECT_TRUE(removed.ok()) << removed.ToString();
  const auto collected = hands.Collect();
  EXPECT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_TRUE(hands.Create("w", kGiB).ok());
  EXPECT_TRUE(hands.Write("w", 0, std::string(kMiB, 'y')).ok());
  EXPECT_TRUE(node.Stop().ok());
}

// S14: a store without one free byte, not even of its reserve, takes the entries of discards, for
// the journal has its space already.
TEST(AttackFullStore, S14AFullStoreTakesTheEntriesOfDiscards) {
  TestEnv env;
  MemoryWorld world({.capacity_bytes = 8 * kMiB, .reserve_bytes = kMiB});
  MemoryNode node(&env, &world);
  Hands hands(&env, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, std::string(kMiB, 'x')).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());  // So that punching frees nothing.
  auto device = hands.Open("v");
  ASSERT_TRUE(env.Run(device->Flush()).ok());
  const LogId filler = LogId::Nodes(hands.New(), 1);
  ASSERT_TRUE(env.Run(node.store().AdoptLog(filler, 0)).ok());
  Status full;
  for (uint64_t length = 0; full.ok(); length += 4 * kKiB) {
    full = env.Run(node.store().Reserve(filler, length));
  }
  ASSERT_EQ(full.code(), Code::kNoSpace) << full.ToString();
  for (uint64_t at = 0; at < kMiB; at += kSubGrain) {
    const Status zeroed = env.Run(device->Discard({at, kSubGrain}, {}));
    ASSERT_TRUE(zeroed.ok()) << zeroed.ToString();
  }
  EXPECT_TRUE(env.Run(device->Flush()).ok());
  Bytes out(kMiB, std::byte{'?'});
  EXPECT_TRUE(env.Run(device->Read(0, out)).ok());
  EXPECT_EQ(out, Bytes(kMiB));
  ASSERT_TRUE(env.Run(node.store().RemoveLog(filler)).ok());
  env.Run([](Device* device) -> Task<int> {
    co_await device->Close();
    co_return 0;
  }(device.get()));
  EXPECT_TRUE(node.Stop().ok());
}

// Q6, Q7: node blobs and journals pile up with every opening.
TEST_F(AttackLimits, Q6NodeBlobsLeaveTheTableAndTheReplayListStaysShort) {
  const auto made = HandsOf(Start()).Create("v", kGiB);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(nodes_.back()->Stop().ok());
  for (int life = 0; life < 40; ++life) {
    MemoryNode node(&env_, &world_);
    Hands hands(&env_, &node.atoll());
    for (uint64_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(hands.Write("v", i * kMiB, "life" + std::to_string(life)).ok());
      ASSERT_TRUE(hands.Snap("v", "s").ok());
      ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("s"))).ok());
      ASSERT_TRUE(hands.Remove("s").ok());
    }
    ASSERT_TRUE(node.Stop().ok());
  }
  MemoryNode node(&env_, &world_);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Collect().ok());
  const auto header = env_.Run(ReadHeader(&node.stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok());
  EXPECT_LE(header->header.map.replay.size(), kMaxReplayJournals);
  const auto logs = env_.Run(node.store().ListLogs(std::nullopt, 1000));
  ASSERT_TRUE(logs.ok());
  EXPECT_LE(logs->items.size(), 24u);
  EXPECT_EQ(hands.Read("v", 0, 6), "life39");
  EXPECT_TRUE(node.Stop().ok());
}

// Q7: lives that end before they have folded anything: the replay list is full, and the next
// opening has a journal more.
TEST_F(AttackLimits, Q7AFullReplayListIsFoldedByTheOpeningThatNeedsRoom) {
  MemoryNode* node = &Start();
  const auto made = HandsOf(*node).Create("v", kGiB);
  ASSERT_TRUE(made.ok());
  const uint64_t lives = kMaxReplayJournals + 3;
  for (uint64_t life = 0; life < lives; ++life) {
    // Folds in the background fail, but the last two openings may.
    if (life + 2 < lives) {
      node->hooks().fail = [](const StoreCall& call) {
        const auto* log = std::get_if<LogId>(&call.target);
        const bool nodes = log != nullptr && log->kind == LogKind::kNodes;
        return nodes && call.op == StoreOp::kAppend ? Status(Code::kIo, "no") : OkStatus();
      };
    }
    const Status written = HandsOf(*node).Write("v", life * kMiB, "life" + std::to_string(life));
    if (life <= kMaxReplayJournals) ASSERT_TRUE(written.ok()) << written.ToString();
    if (life == kMaxReplayJournals) {
      const auto header = env_.Run(ReadHeader(&node->stores().at(0), made->uuid, ReadFor::kLook));
      ASSERT_TRUE(header.ok());
      ASSERT_EQ(header->header.map.replay.size(), kMaxReplayJournals);
    }
    node = &KillAndStart(*node);
  }
  Hands hands = HandsOf(*node);
  for (uint64_t life = 0; life <= kMaxReplayJournals; ++life) {
    EXPECT_EQ(hands.Read("v", life * kMiB, 5), "life" + std::to_string(life).substr(0, 1));
  }
  const auto header = env_.Run(ReadHeader(&node->stores().at(0), made->uuid, ReadFor::kLook));
  ASSERT_TRUE(header.ok());
  EXPECT_LT(header->header.map.replay.size(), kMaxReplayJournals);
}

}  // namespace
}  // namespace atl
