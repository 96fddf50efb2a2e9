// SPDX-License-Identifier: Apache-2.0
//
// Another sender comes after each single instruction of a sender and of a receiver: the processor
// traps after every one of them, and the handler of the trap is the other sender. Two threads would
// meet in between once in a while only.
#include <gtest/gtest.h>

#include "xseg/mailbox.h"

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define ATOLL_LATE_SIGNALS
#endif
#endif

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(ATOLL_LATE_SIGNALS)
#include <x86intrin.h>

#include <csignal>

#include "xseg/base/check.h"

namespace atl {
namespace {

constexpr unsigned kThere = 0, kIntruders = 1, kOwn = 2;
constexpr uint64_t kTrapFlag = 0x100;

// One mailbox with its summary, in which slot kThere waits already. All slots are in the first
// word, and each has a summary bit of its own.
struct World {
  Mailbox box{};
  HotLine hot{};
  ExpressReader express{&hot.express_request};
  uint64_t slots = 0;             // That the receiver has seen,
  std::atomic<uint64_t> bits{0};  // and which of them it was told of.

  World() { Send(kThere); }
  void Send(unsigned slot) {
    box.Post(slot);
    hot.RaiseArrival(slot);
  }
  // By the express word, if that is free.
  void SendExpress(unsigned slot) {
    if (!HotLine::PostExpress(hot.express_request, slot + 1)) return Send(slot);
    bits |= 1ull << slot;
  }
  void Take() {
    for (int i = 0; i < 2; ++i) {
      if (const auto slot = express.Next()) slots |= 1ull << *slot;
    }
    bits |= hot.TakeArrivals();
    MailboxReader reader(&box);
    reader.Look(1);
    for (int slot = reader.Next(); slot >= 0; slot = reader.Next()) slots |= 1ull << slot;
  }
};

World* intruded;
void (World::*intrude)(unsigned slot);
int steps, intrude_at;

void OnTrap(int) {
  if (++steps == intrude_at) (intruded->*intrude)(kIntruders);
}

class MailboxSteps : public testing::Test {
 protected:
  void SetUp() override {
    struct sigaction action{};
    action.sa_handler = OnTrap;
    CHECK(sigaction(SIGTRAP, &action, &before_) == 0);
    intrude = &World::Send;
  }
  void TearDown() override { sigaction(SIGTRAP, &before_, nullptr); }

  // `work` with the intruder after each of its instructions in turn; then the receiver takes what
  // the summary leads it to. `expected`: the slots, besides the intruder's.
  template <typename Work>
  static void IntrudeEverywhere(
      Work work, uint64_t expected, void (*prepare)(World&) = [](World&) {}) {
    bool was_reached = true;
    for (int at = 1; was_reached; ++at) {
      World world;
      prepare(world);
      intruded = &world;
      steps = 0;
      intrude_at = at;
      __writeeflags(__readeflags() | kTrapFlag);
      work(world);
      __writeeflags(__readeflags() & ~kTrapFlag);
      was_reached = steps >= at;
      while (world.hot.HasAny()) world.Take();
      const uint64_t all = expected | (was_reached ? 1ull << kIntruders : 0);
      ASSERT_EQ(world.slots, all) << "after instruction " << at;
      ASSERT_EQ(world.bits, all) << "after instruction " << at;
    }
    EXPECT_GT(steps, 2);  // It was really interrupted.
  }

 private:
  struct sigaction before_{};
};

TEST_F(MailboxSteps, AttackS11NothingIsLostToASenderThatInterruptsAnother) {
  const auto send = [](World& world) { world.Send(kOwn); };
  IntrudeEverywhere(send, 1ull << kThere | 1ull << kOwn);
}

TEST_F(MailboxSteps, AttackS11NothingIsLostToASenderThatInterruptsTheReceiver) {
  const auto take = [](World& world) { world.Take(); };
  IntrudeEverywhere(take, 1ull << kThere);
}

TEST_F(MailboxSteps, NothingIsLostWhereBothWantTheExpressWord) {
  intrude = &World::SendExpress;
  const auto send = [](World& world) { world.SendExpress(kOwn); };
  IntrudeEverywhere(send, 1ull << kThere | 1ull << kOwn);
}

TEST_F(MailboxSteps, NothingIsLostToWhoWantsTheExpressWordWhileItIsTaken) {
  intrude = &World::SendExpress;
  const auto take = [](World& world) {
    if (const auto slot = world.express.Next()) world.slots |= 1ull << *slot;
    world.express.Settle();
  };
  IntrudeEverywhere(take, 1ull << kThere | 1ull << kOwn,
                    [](World& world) { world.SendExpress(kOwn); });
}

}  // namespace
}  // namespace atl
#else
TEST(MailboxSteps, AttackS11NothingIsLostToASenderThatInterruptsAnother) {
  GTEST_SKIP() << "no traps after single instructions here";
}
#endif
