// SPDX-License-Identifier: Apache-2.0
//
// Writes in which zeros are looked for: what is stored of them, what is read, and what is left of
// them after a crash. The model and the storm write so too.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

constexpr DeviceWriteOptions kDetect{.detect_zeroes = true};
constexpr DeviceWriteOptions kDetectFua{.fua = true, .detect_zeroes = true};

Task<int> CloseTask(Device* device) {
  co_await device->Close();
  co_return 0;
}

// Calls by which a store is changed.
struct Changes {
  int writes = 0, punches = 0, appends = 0, syncs = 0;
  void Count(const StoreCall& call) {
    writes += call.op == StoreOp::kWrite || call.op == StoreOp::kZero;
    punches += call.op == StoreOp::kPunch;
    appends += call.op == StoreOp::kAppend;
    syncs += call.op == StoreOp::kSync || call.op == StoreOp::kSyncLog;
  }
};

class Zeroes : public ::testing::Test {
 protected:
  Zeroes() : node_(&env_, &world_), hands_(&env_, &node_.atoll()) {}
  ~Zeroes() override {
    if (device_) env_.Run(CloseTask(device_.get()));
    EXPECT_TRUE(node_.Stop().ok());
  }
  void Make(uint64_t size) {
    ASSERT_TRUE(hands_.Create("v", size).ok());
    device_ = hands_.Open("v");
    Bytes first(1);
    ASSERT_TRUE(env_.Run(device_->Read(0, first)).ok());  // It is open from now on.
  }
  void Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
    const Status status = env_.Run(device_->Write(offset, data, options));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  // What the store is asked to do for it.
  Changes ChangesOf(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
    Changes changes;
    node_.hooks().before = [&changes](const StoreCall& call) { changes.Count(call); };
    Write(offset, data, options);
    node_.hooks().before = {};
    return changes;
  }
  uint64_t Space() {
    const auto info = env_.Run(node_.atoll().Show(Hands::Ref("v"), true));
    return info.ok() && info->space ? info->space->true_bytes : UINT64_MAX;
  }
  std::vector<DeviceExtent> Extents(ByteRange range) {
    auto extents = env_.Run(device_->Extents(range, 100));
    EXPECT_TRUE(extents.ok()) << extents.status().ToString();
    return extents.ok() ? *std::move(extents) : std::vector<DeviceExtent>();
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_;
  Hands hands_;
  std::unique_ptr<Device> device_;
};

TEST_F(Zeroes, GiveBackTheSpaceOfWhatWasThere) {
  ASSERT_NO_FATAL_FAILURE(Make(kMiB));
  const Bytes data(kMiB, std::byte{'d'});
  Write(0, data, {});
  const uint64_t full = Space();
  Bytes mixed = data;
  std::fill_n(mixed.begin() + 256 * kKiB, 512 * kKiB, std::byte{0});
  Write(0, mixed, {});
  EXPECT_EQ(Space(), full) << "nobody asked for it";
  Write(0, mixed, kDetect);
  EXPECT_EQ(full - Space(), 512 * kKiB);
  const auto extents = Extents({0, kMiB});
  ASSERT_EQ(extents.size(), 3u);
  EXPECT_EQ(extents[1].range, (ByteRange{256 * kKiB, 512 * kKiB}));
  EXPECT_TRUE(extents[1].hole && extents[1].zero);
  Write(0, Bytes(kMiB), kDetect);
  EXPECT_EQ(full - Space(), kMiB);
  EXPECT_EQ(Extents({0, kMiB}).size(), 1u);
}

TEST_F(Zeroes, CostNothingWhereNothingWasWritten) {
  ASSERT_NO_FATAL_FAILURE(Make(4 * kMiB));
  for (const ByteRange range : {ByteRange{0, kMiB}, ByteRange{777, 1}, ByteRange{4095, 100'002},
                                ByteRange{4 * kMiB - 512, 512}}) {
    const Changes none = ChangesOf(range.offset, Bytes(range.length), kDetectFua);
    EXPECT_EQ(none.writes + none.punches + none.appends + none.syncs, 0) << range.offset;
  }
  Bytes mixed(kMiB);
  mixed[512 * kKiB] = std::byte{1};
  const Changes one = ChangesOf(kMiB, mixed, kDetect);
  EXPECT_EQ(one.writes, 1);
  EXPECT_EQ(one.punches, 0);
  EXPECT_EQ(one.appends, 1);
  EXPECT_EQ(hands_.Read("v", kMiB + 512 * kKiB, 2), std::string("\1\0", 2));
}

TEST_F(Zeroes, InShortRunsAreDataAndSplitNothing) {
  ASSERT_NO_FATAL_FAILURE(Make(kMiB));
  Bytes data(64 * kKiB, std::byte{'d'});
  std::fill_n(data.begin() + 8 * kKiB, kMinZeroRun - kSubGrain, std::byte{0});
  const Changes changes = ChangesOf(0, data, kDetect);
  EXPECT_EQ(changes.writes, 1);
  EXPECT_EQ(changes.punches, 0);
  EXPECT_EQ(changes.appends, 1);
}

TEST_F(Zeroes, OverASnapshotHideItsDataAndLeaveItToTheSnapshot) {
  ASSERT_NO_FATAL_FAILURE(Make(kMiB));
  Write(0, Bytes(kMiB, std::byte{'d'}), {});
  ASSERT_TRUE(hands_.Snap("v", "s").ok());
  Write(1000, Bytes(100'000), kDetect);
  EXPECT_EQ(hands_.Read("v", 0, 101'001),
            std::string(1000, 'd') + std::string(100'000, '\0') + "d");
  EXPECT_EQ(hands_.Read("s", 1000, 100'000), std::string(100'000, 'd'));
  // Two edges are completed from below; the rest takes no space.
  const auto info = env_.Run(node_.atoll().Show(Hands::Ref("v"), true));
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->space->true_bytes, kMiB + 2 * kSubGrain);
}

// Each run may become a batch of the journal; all of them must have been admitted.
TEST_F(Zeroes, OfThousandsOfRunsFindRoomInTheJournal) {
  constexpr uint64_t kWrites = 8, kLength = 16 * kMiB;
  ASSERT_NO_FATAL_FAILURE(Make(kWrites * kLength));
  std::map<LogId, uint64_t> reserved;
  bool over = false;
  node_.hooks().before = [&](const StoreCall& call) {
    if (call.op == StoreOp::kReserve) {
      uint64_t& length = reserved[std::get<LogId>(call.target)];
      length = std::max(length, call.range.length);
    } else if (call.op == StoreOp::kAppend) {
      const auto log = reserved.find(std::get<LogId>(call.target));
      // The first step was taken before anybody looked.
      over |= call.range.end() > (log == reserved.end() ? 256 * kKiB : log->second);
    }
  };
  const auto write = [](Device* device, uint64_t offset, ConstSpan data) -> Task<void> {
    const Status status = co_await device->Write(offset, data, kDetect);
    EXPECT_TRUE(status.ok()) << status.ToString();
  };
  Bytes data;
  // The second time each run of zeros has something to take away.
  for (const uint64_t first : {0, 2}) {
    data.assign(kLength, std::byte{0});
    for (uint64_t at = first * kSubGrain; at < kLength; at += 5 * kSubGrain) {
      data[at] = std::byte{1};
    }
    TaskGroup group;
    for (uint64_t i = 0; i < kWrites; ++i) group.Run(write(device_.get(), i * kLength, data));
    env_.Run([](TaskGroup* all) -> Task<int> {
      co_await all->Join();
      co_return 0;
    }(&group));
  }
  node_.hooks().before = {};
  EXPECT_FALSE(over) << "an append went beyond the space that was taken for it";
  Bytes back(kLength);
  ASSERT_TRUE(env_.Run(device_->Read(3 * kLength, back)).ok());
  EXPECT_TRUE(back == data);
}

// --- After crashes, at all alignments ------------------------------------------------------------

class Writer {
 public:
  Writer(uint64_t seed, TestEnv* env) : random_(seed), env_(env), expected_(kSize) {}

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  // Any bytes: stretches of zeros and of others.
  Status WriteSome(Device* device, DeviceWriteOptions options) {
    const uint64_t offset = Below(4) == 0 ? Below(kSize / kSubGrain) * kSubGrain : Below(kSize);
    Bytes data(std::min(kSize - offset, 1 + Below(200'000)));
    for (uint64_t at = 0; at < data.size();) {
      const uint64_t length = std::min<uint64_t>(data.size() - at, 1 + Below(60'000));
      const bool zero = Below(2) == 0;
      const uint64_t first = Below(255);
      for (uint64_t i = 0; i < length && !zero; ++i) {
        data[at + i] = static_cast<std::byte>(1 + (first + i) % 255);
      }
      at += length;
    }
    std::ranges::copy(data, expected_.begin() + static_cast<ptrdiff_t>(offset));
    return env_->Run(device->Write(offset, data, options));
  }
  void Check(Device* device, const char* when) {
    Bytes back(kSize);
    ASSERT_TRUE(env_->Run(device->Read(0, back)).ok());
    const auto wrong = std::ranges::mismatch(back, expected_);
    ASSERT_TRUE(wrong.in1 == back.end()) << when << ": offset " << wrong.in1 - back.begin();
  }

  static constexpr uint64_t kSize = 2 * kMiB + 3 * kSector;

 private:
  std::mt19937_64 random_;
  TestEnv* env_;
  Bytes expected_;
};

// Writes over nothing, over own data and over a snapshot's; then the node dies, or power fails when
// everything is durable.
void WriteAndCrash(uint64_t seed, bool power) {
  TestEnv env(seed);
  env.ShuffleReady();
  MemoryWorld world({.seed = seed});
  MemoryNode node(&env, &world, {.max_delay_ns = 100 * kMicrosecond});
  Hands hands(&env, &node.atoll());
  ASSERT_TRUE(hands.Create("v", Writer::kSize).ok());
  auto device = hands.Open("v");
  Writer writer(seed, &env);
  for (int i = 0; i < 40; ++i) {
    const DeviceWriteOptions options{.fua = power || writer.Below(4) == 0,
                                     .detect_zeroes = writer.Below(4) > 0};
    ASSERT_TRUE(writer.WriteSome(device.get(), options).ok());
    if (i == 10) ASSERT_TRUE(hands.Snap("v", "s").ok());
    if (i % 10 == 0) ASSERT_NO_FATAL_FAILURE(writer.Check(device.get(), "before"));
  }
  device.reset();
  if (power) world.PowerLoss(seed);
  node.Kill();
  MemoryNode next(&env, &world, {.name = "b"});
  ASSERT_TRUE(env.Run(next.atoll().BuryPredecessor(node.incarnation())).ok());
  auto again = Hands(&env, &next.atoll()).Open("v");
  writer.Check(again.get(), "after");
  env.Run(CloseTask(again.get()));
  ASSERT_TRUE(next.Stop().ok());
}

void RunSeeds(uint64_t first, uint64_t count, bool power) {
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = SeedOr(first);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed));
    WriteAndCrash(seed, power);
  }
}

TEST(ZeroesCrash, WhatWasAcknowledgedIsThereAfterAKillAtAnyAlignment) { RunSeeds(1, 40, false); }

TEST(ZeroesCrash, WhatWasWrittenWithFuaIsThereAfterAPowerLoss) { RunSeeds(1000, 60, true); }

}  // namespace
}  // namespace atl
