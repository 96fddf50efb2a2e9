// SPDX-License-Identifier: Apache-2.0
#include "xseg/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "xseg/doorbell.h"

namespace atl {
namespace {

std::set<int> TakeAll(Mailbox* box) {
  MailboxReader reader(box);
  reader.Look(kAllWords);
  std::set<int> out;
  for (int number = reader.Next(); number >= 0; number = reader.Next()) out.insert(number);
  return out;
}

TEST(Mailbox, SubmitNeverOverflows) {
  Mailbox box{};
  for (int round = 0; round < 3; ++round) {
    for (unsigned i = 0; i < kMaxSlotsPerPort; ++i) box.Post(i);
  }
  const auto taken = TakeAll(&box);
  EXPECT_EQ(taken.size(), kMaxSlotsPerPort);
  EXPECT_TRUE(TakeAll(&box).empty());
}

TEST(Mailbox, RepeatingASubmitIsHarmless) {
  Mailbox box{};
  box.Post(5);
  box.Post(5);
  EXPECT_TRUE(box.Has(5));
  EXPECT_EQ(TakeAll(&box), std::set<int>{5});
}

TEST(Mailbox, ASenderThatDiesBetweenTheTwoBitsBlocksNobody) {
  Mailbox box{};
  HotLine hot{};
  box.Post(7);  // And then it was killed, before the summary.
  EXPECT_FALSE(hot.HasAny());
  box.Post(8);
  hot.RaiseArrival(0);
  EXPECT_EQ(hot.TakeArrivals(), 1u);
  EXPECT_EQ(TakeAll(&box), (std::set<int>{7, 8}));
}

// One sender posts, one receiver takes; after each summary bit the receiver must see the slot.
TEST(Mailbox, NoBitIsEverLostBetweenTwoThreads) {
  constexpr uint64_t kPosts = 200'000;
  auto box = std::make_unique<Mailbox>();
  auto hot = std::make_unique<HotLine>();
  std::vector<std::atomic<uint64_t>> sent(kMaxSlotsPerPort);
  std::thread sender([&] {
    for (uint64_t i = 0; i < kPosts; ++i) {
      const unsigned slot = i * 37 % kMaxSlotsPerPort;
      sent[slot].store(i + 1, std::memory_order_release);
      box->Post(slot);
      hot->RaiseArrival(3);
    }
  });
  std::vector<uint64_t> seen(kMaxSlotsPerPort);
  uint64_t last = 0;
  while (last < kPosts) {
    if (hot->TakeArrivals() == 0) continue;
    for (const int slot : TakeAll(box.get())) {
      seen[slot] = sent[slot].load(std::memory_order_acquire);
      last = std::max(last, seen[slot]);
    }
  }
  sender.join();
  for (const int slot : TakeAll(box.get())) seen[slot] = sent[slot].load();
  for (unsigned slot = 0; slot < kMaxSlotsPerPort; ++slot) EXPECT_EQ(seen[slot], sent[slot].load());
}

TEST(Doorbell, ARingIsNeverLost) {
  constexpr uint64_t kRings = 20'000;
  auto hot = std::make_unique<HotLine>();
  auto back = std::make_unique<HotLine>();
  std::thread echo([&] {
    AdaptiveSpin spin(0);
    for (uint64_t i = 0; i < kRings; ++i) {
      while (hot->TakeArrivals() == 0) WaitOnFutex(*hot, spin, -1);
      back->RaiseArrival(0);
      RingIfAsleep(*back, {});
    }
  });
  AdaptiveSpin spin(0);
  for (uint64_t i = 0; i < kRings; ++i) {
    hot->RaiseArrival(0);
    RingIfAsleep(*hot, {});
    while (back->TakeArrivals() == 0) WaitOnFutex(*back, spin, -1);
  }
  echo.join();
}

TEST(Doorbell, NobodyIsRungWhoIsAwake) {
  HotLine hot{};
  EXPECT_TRUE(AnnounceSleep(hot, Sleep::kEvent));
  AnnounceAwake(hot);
  hot.RaiseArrival(1);
  EXPECT_FALSE(AnnounceSleep(hot, Sleep::kEvent));
  EXPECT_EQ(hot.sleeping.load(), 0u);
}

TEST(AdaptiveSpin, FollowsWhatPaysOff) {
  AdaptiveSpin spin(64'000);
  EXPECT_EQ(spin.budget_ns(), 64'000);
  for (int i = 0; i < 20; ++i) spin.Wasted();
  EXPECT_LE(spin.budget_ns(), 1000);
  for (int i = 0; i < 20; ++i) spin.Paid();
  EXPECT_EQ(spin.budget_ns(), 64'000);
  AdaptiveSpin never(0);
  never.Wasted();
  never.Paid();
  EXPECT_EQ(never.budget_ns(), 0);
}

}  // namespace
}  // namespace atl
