// SPDX-License-Identifier: Apache-2.0
//
// Attacks by fullness: of the journal, of the store, of the source table and the replay list.
#include "tests/peers/volumes/attack_fixture.h"

namespace atl {
namespace {

using AttackLimits = Attack;

// Q4: the journal is full, and the checkpoint that would empty it waits for those who wait for it.
TEST_F(AttackLimits, Q4WritersGetPastAFullJournal) {
  MemoryNode& node = Start();
  Hands hands = HandsOf(node);
  ASSERT_TRUE(hands.Create("v", 64 * kGiB).ok());
  auto device = hands.Open("v");
  auto fill = [](Device* device) -> Task<int> {
    const Bytes data(512, std::byte{'q'});
    // One at a time: each is a batch of 80 bytes, so this is more than one journal's 16 MiB.
    for (uint64_t i = 0; i < 230'000; ++i) {
      const Status status = co_await device->Discard({(i * 7919 % 8'000'000) * 8192, 4096}, {});
      if (!status.ok()) ADD_FAILURE() << status.ToString();
      const Status written = co_await device->Write((i * 7919 % 8'000'000) * 8192, data, {});
      if (!written.ok()) ADD_FAILURE() << written.ToString();
      if (::testing::Test::HasFailure()) co_return 1;
    }
    co_return 0;
  };
  env_.Run(fill(device.get()));
  EXPECT_GT(node.atoll().open_table().Find(device->info().uuid)->composer->geometry().generation,
            2u);
  EXPECT_EQ(hands.Read("v", 0, 1), "q");
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

// S14: the discard that would free a full store needs a journal entry.
TEST(AttackFullStore, S14AFullStoreTakesTheDiscardThatFreesIt) {
  TestEnv env;
  MemoryWorld world({.capacity_bytes = 8 * kMiB, .reserve_bytes = kMiB});
  MemoryNode node(&env, &world);
  Hands hands(&env, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kGiB).ok());
  auto device = hands.Open("v");
  Status status;
  const Bytes data(kMiB, std::byte{'x'});
  for (uint64_t at = 0; status.ok(); at += kMiB) status = env.Run(device->Write(at, data, {}));
  ASSERT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  // Others have used up the reserve as well.
  node.hooks().fail = [](const StoreCall& call) {
    return call.op == StoreOp::kReserve ? Status(Code::kNoSpace, "full") : OkStatus();
  };
  uint64_t reserved = 0;
  node.hooks().before = [&](const StoreCall& call) { reserved += call.op == StoreOp::kReserve; };
  for (uint64_t at = 0; at < 4 * kMiB; at += 64 * kKiB) {
    const Status freed = env.Run(device->Discard({at, 64 * kKiB}, {}));
    ASSERT_TRUE(freed.ok()) << freed.ToString();
  }
  EXPECT_TRUE(env.Run(device->Flush()).ok());
  EXPECT_EQ(reserved, 0u);
  EXPECT_TRUE(env.Run(device->Write(0, data, {})).ok());
  env.Run([](Device* device) -> Task<int> {
    co_await device->Close();
    co_return 0;
  }(device.get()));
  node.hooks().fail = nullptr;
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
