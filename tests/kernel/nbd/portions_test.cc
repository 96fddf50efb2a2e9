// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/portions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/kernel/nbd/raw_client.h"
#include "tests/kernel/nbd/server_thread.h"

namespace atl::nbd {
namespace {

constexpr uint32_t kAll = 128;

Portions Limited() {
  Portions portions;
  for (uint32_t i = 0; i < Portions::kSure; ++i) portions.OnReplies(32, 0, 1);
  EXPECT_TRUE(portions.HasRoom(Portions::kPortion - 1));
  EXPECT_FALSE(portions.HasRoom(Portions::kPortion));
  return portions;
}

TEST(Portions, AreNotMadeBeforeThatIsSure) {
  Portions portions;
  for (uint32_t i = 0; i < Portions::kSure; ++i) {
    EXPECT_TRUE(portions.HasRoom(kAll)) << i;
    portions.OnReplies(Portions::kPortion, 0, Portions::kSoonNs);
  }
  EXPECT_FALSE(portions.HasRoom(kAll));
}

TEST(Portions, StayAsLongAsTheyComeBackTogether) {
  Portions portions = Limited();
  for (int i = 0; i < 1000; ++i) portions.OnReplies(Portions::kPortion, 0, 1);
  EXPECT_FALSE(portions.HasRoom(kAll));
}

TEST(Portions, AreGivenUpWhenOneTakesLong) {
  Portions portions = Limited();
  portions.OnReplies(Portions::kPortion, 0, Portions::kSoonNs + 1);
  EXPECT_TRUE(portions.HasRoom(kAll));
}

TEST(Portions, AreGivenUpWhenTheyComeBackOneByOne) {
  Portions portions = Limited();
  portions.OnReplies(1, Portions::kPortion - 1, 1);
  EXPECT_TRUE(portions.HasRoom(kAll));
}

TEST(Portions, AFewRequestsSayNothing) {
  Portions portions;
  for (int i = 0; i < 1000; ++i) portions.OnReplies(Portions::kPortion - 1, 0, 1);
  EXPECT_TRUE(portions.HasRoom(kAll));
  portions = Limited();
  for (int i = 0; i < 1000; ++i) portions.OnReplies(1, 0, 1);
  EXPECT_FALSE(portions.HasRoom(kAll)) << "nor that it has changed";
}

// A device that answers all reads it has at the same moment.
class PortionsOfASession : public testing::Test {
 protected:
  static constexpr size_t kReads = Portions::kPortion + 4;
  static constexpr size_t kReplyBytes = 20 + 8 + 512;  // A structured one.
  using Sizes = std::vector<size_t>;

  PortionsOfASession() {
    server_.Run([this](ServerWorld world) {
      world.atoll->Add("v", 16 * kMiB)->Write(0, Bytes(kMiB, std::byte{1}));
      world.atoll->behaviour.delay_ns = [this, env = world.executor](std::string_view what) {
        return what == "read" ? Begun(env->BootNs()) : int64_t{0};
      };
      world.atoll->behaviour.fail = [this](std::string_view what) {
        executing_ -= what == "read";
        return OkStatus();
      };
      return 0;
    });
    EXPECT_TRUE(client_.Open("v"));
  }
  ~PortionsOfASession() override { client_.Close(); }

  void TakeSoLong(int64_t pause_ns) {
    server_.Run([this, pause_ns](ServerWorld) { return pause_ns_ = pause_ns; });
  }
  void LimitToPortions() {
    const Sizes portions{Portions::kPortion, kReads - Portions::kPortion};
    // A machine that has something else to do takes its time.
    Sizes sizes;
    for (int i = 0; i < 20'000 && sizes != portions; ++i) sizes = Read();
    EXPECT_EQ(sizes, portions);
  }
  // What one message with reads came to the device as: how many before all of those had ended.
  Sizes Read() {
    Script script;
    for (size_t i = 0; i < kReads; ++i) {
      script.Request({.cookie = i, .offset = i * 512, .length = 512});
    }
    EXPECT_TRUE(client_.Say(script));
    EXPECT_EQ(client_.Hear(kReads * kReplyBytes).size(), kReads * kReplyBytes);
    return TakeSizes();
  }
  Sizes TakeSizes() {
    return server_.Run([this](ServerWorld) { return std::exchange(sizes_, {}); });
  }

  RawClient& client() { return client_; }

 private:
  // How long it is to take.
  int64_t Begun(int64_t now_ns) {
    if (executing_++ == 0) {
      answers_at_ns_ = now_ns + pause_ns_;
      sizes_.push_back(0);
    }
    ++sizes_.back();
    return std::max<int64_t>(answers_at_ns_ - now_ns, 1);
  }

  int64_t pause_ns_ = 40 * kMicrosecond;
  int64_t answers_at_ns_ = 0;
  size_t executing_ = 0;
  Sizes sizes_;
  ServerThread server_;
  RawClient client_{server_.socket()};
};

TEST_F(PortionsOfASession, AreMadeOfWhatIsAnsweredSoonAndNotOfWhatTakesLong) {
  const Sizes all{kReads};
  LimitToPortions();
  TakeSoLong(20 * kMillisecond);
  (void)Read();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Read(), all);
}

// More replies than the socket takes, and a payload behind them.
TEST_F(PortionsOfASession, DoNotStopWhoReadsOnlyOnceItHasSentAll) {
  constexpr size_t kLongReads = 120, kLong = 48 * kKiB, kPayload = 8 * kMiB;
  Script script;
  for (size_t i = 0; i < kLongReads; ++i) script.Request({.cookie = i, .length = kLong});
  script.Request({.type = 1, .cookie = kLongReads, .offset = kMiB, .length = kPayload});
  script.Fill(kPayload, 'b');
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ASSERT_EQ(setsockopt(client().fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
  const size_t replies = kLongReads * (20 + 8 + kLong) + 16;
  // Until they went by portions for longer than the socket has room.
  constexpr size_t kEnough = 5;
  size_t portions = 0;
  for (int i = 0; i < 2'000 && portions < kEnough; ++i) {
    LimitToPortions();
    ASSERT_TRUE(client().Say(script)) << "the session reads no more";
    ASSERT_EQ(client().Hear(replies).size(), replies);
    portions = static_cast<size_t>(std::ranges::count(TakeSizes(), size_t{Portions::kPortion}));
  }
  EXPECT_GE(portions, kEnough);
}

}  // namespace
}  // namespace atl::nbd
