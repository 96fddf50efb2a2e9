// SPDX-License-Identifier: Apache-2.0
//
// Many requests in flight on one volume, over a store whose operations take their time, in a random
// order of everything; at a random moment the node dies, or the power fails. What is read after
// that must be allowed by what was acknowledged and flushed before.
//
// Requests whose ranges overlap take effect in the order in which they were made, so each sector
// has a row of writes. After the death of processes it shows the last acknowledged one, or a later
// one. After power loss: the last that a completed flush had covered, or a later one.
#include <gtest/gtest.h>

#include <random>

#include "tests/peers/volumes/node_harness.h"
#include "tests/peers/volumes/oracle.h"

namespace atl {
namespace {

constexpr uint64_t kSize = 1 * kMiB + 256 * kKiB;
constexpr uint64_t kSectors = kSize / kSector;

enum class End {
  kKill,
  kPower,
  kKillThenPower,  // Opening after the kill has made durable what it found.
};

class Storm {
 public:
  Storm(uint64_t seed, End end)
      : seed_(seed), end_(end), power_(end == End::kPower), random_(seed), env_(seed) {
    env_.ShuffleReady();
    rows_.resize(kSectors);
  }

  void Run() {
    MemoryWorld world({.seed = seed_});
    NodeOptions options;
    options.max_delay_ns = 200 * kMicrosecond;
    options.composers.flushes_before_log = seed_ % 2 == 0 ? 1 : 16;
    auto node = std::make_unique<MemoryNode>(&env_, &world, options);
    const Uuid incarnation = node->incarnation();
    Hands hands(&env_, &node->atoll());
    ASSERT_TRUE(hands.Create("v", kSize).ok());
    device_ = hands.Open("v");
    // Some history, so that first writes, overwrites and older epochs meet.
    Write({0, kSize / 2}, false);
    env_.RunUntilIdleFor(20 * kMillisecond);
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    Settle();
    const int64_t end_ns = env_.BootNs() + static_cast<int64_t>(Below(6'000'000));
    while (env_.BootNs() < end_ns) {
      for (uint64_t i = Below(6); i > 0; --i) OneRequest();
      env_.RunUntilIdleFor(static_cast<int64_t>(Below(150'000)));
    }
    // The moment has come. Nothing acknowledged after it counts.
    over_ = true;
    if (power_) {
      world.PowerLoss(random_());
    } else {
      node->store().Die(static_cast<int64_t>(Below(3 * kMillisecond)));
    }
    env_.RunUntilIdleFor(50 * kMillisecond);
    env_.Run(Close(device_.get()));
    device_.reset();
    (void)node->Stop();
    node.reset();

    if (end_ == End::kKillThenPower) {
      MemoryNode between(&env_, &world);
      ASSERT_TRUE(env_.Run(between.atoll().BuryPredecessor(incarnation)).ok());
      ASSERT_TRUE(env_.Run(between.atoll().Acquire(Hands::Ref("v"))).ok());
      world.PowerLoss(random_());
      between.Kill();
      ASSERT_NO_FATAL_FAILURE(CheckWhatIsLeft(&world, between.incarnation()));
      return;
    }
    CheckWhatIsLeft(&world, incarnation);
  }

 private:
  void CheckWhatIsLeft(MemoryWorld* world, Uuid before) {
    MemoryNode next(&env_, world);
    ASSERT_TRUE(env_.Run(next.atoll().BuryPredecessor(before)).ok());
    Hands again(&env_, &next.atoll());
    auto reader = again.Open("v");
    Bytes bytes(kSize);
    const Status status = env_.Run(reader->Read(0, bytes));
    ASSERT_TRUE(status.ok()) << status.ToString();
    Check(bytes);
    env_.Run(Close(reader.get()));
    ASSERT_TRUE(next.Stop().ok());
  }
  struct Entry {
    uint64_t mark = 0;
    bool acknowledged = false;
    bool flushed = false;  // Covered by a flush that has ended, or a FUA write that has.
  };
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  static Task<int> Close(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  // Everything up to now is durable.
  void Settle() {
    for (auto& row : rows_) {
      for (Entry& entry : row) entry.flushed = entry.acknowledged;
    }
  }

  void OneRequest() {
    const uint64_t first = Below(kSectors);
    const uint64_t most = Below(10) == 0 ? 600 : 20;
    const uint64_t count = std::min(kSectors - first, 1 + Below(most));
    const ByteRange range{first * kSector, count * kSector};
    const uint64_t kind = Below(8);
    if (kind == 0) return Spawn(FlushTask());
    if (kind == 1) return Zero(range);
    Write(range, kind == 2);
  }
  void Write(ByteRange range, bool fua) {
    const uint64_t mark = ++marks_;
    Note(range, mark);
    Spawn(WriteTask(range, mark, fua));
  }
  void Zero(ByteRange range) {
    Note(range, 0);
    Spawn(ZeroTask(range, Position(range), Below(3) == 0));
  }
  void Note(ByteRange range, uint64_t mark) {
    for (uint64_t i = range.offset / kSector; i < range.end() / kSector; ++i) {
      rows_[i].push_back({mark});
    }
  }
  // Where in each row the newest entry is.
  std::vector<size_t> Position(ByteRange range) const {
    std::vector<size_t> at;
    for (uint64_t i = range.offset / kSector; i < range.end() / kSector; ++i) {
      at.push_back(rows_[i].size() - 1);
    }
    return at;
  }
  Task<void> WriteTask(ByteRange range, uint64_t mark, bool fua) {
    const std::vector<size_t> at = Position(range);
    const Bytes data = Oracle::Fill(mark, range.length);
    const Status status = co_await device_->Write(range.offset, data, {.fua = fua});
    if (over_) co_return;
    EXPECT_TRUE(status.ok()) << status.ToString();
    Acknowledge(range, at, fua);
  }
  // By a discard, or by a write of zeros that are to be found.
  Task<void> ZeroTask(ByteRange range, std::vector<size_t> at, bool write) {
    const Bytes zeros(write ? range.length : 0);
    const Status status =
        write ? co_await device_->Write(range.offset, zeros, {.detect_zeroes = true})
              : co_await device_->Discard(range, {});
    if (over_) co_return;
    EXPECT_TRUE(status.ok()) << status.ToString();
    Acknowledge(range, at, false);
  }
  void Acknowledge(ByteRange range, const std::vector<size_t>& at, bool durable) {
    for (size_t i = 0; i < at.size(); ++i) {
      Entry& entry = rows_[range.offset / kSector + i][at[i]];
      entry.acknowledged = true;
      entry.flushed |= durable;
    }
  }
  Task<void> FlushTask() {
    std::vector<std::pair<size_t, size_t>> covered;
    for (size_t i = 0; i < rows_.size(); ++i) {
      for (size_t k = rows_[i].size(); k > 0; --k) {
        if (!rows_[i][k - 1].acknowledged) continue;
        covered.emplace_back(i, k - 1);
        break;
      }
    }
    const Status status = co_await device_->Flush();
    if (over_) co_return;
    EXPECT_TRUE(status.ok()) << status.ToString();
    for (const auto& [row, entry] : covered) rows_[row][entry].flushed = true;
  }

  void Check(ConstSpan bytes) {
    for (uint64_t i = 0; i < kSectors; ++i) {
      uint64_t mark;
      std::memcpy(&mark, bytes.data() + i * kSector, 8);
      for (size_t k = 0; k < kSector; k += 8) {
        ASSERT_EQ(std::memcmp(bytes.data() + i * kSector + k, &mark, 8), 0)
            << "a torn sector at " << i * kSector;
      }
      // The last entry that must not be lost; what came before it must not be seen.
      const auto& row = rows_[i];
      size_t floor = row.size();
      for (size_t k = 0; k < row.size(); ++k) {
        if (power_ ? row[k].flushed : row[k].acknowledged) floor = k;
      }
      bool allowed = floor == row.size() && mark == 0;
      for (size_t k = floor == row.size() ? 0 : floor; k < row.size(); ++k) {
        allowed |= row[k].mark == mark;
      }
      ASSERT_TRUE(allowed) << "sector " << i << " reads " << mark << ", must be at least "
                           << (floor < row.size() ? row[floor].mark : 0);
    }
  }

  const uint64_t seed_;
  const End end_;
  const bool power_;
  std::mt19937_64 random_;
  TestEnv env_;
  std::vector<std::vector<Entry>> rows_;
  std::unique_ptr<Device> device_;
  uint64_t marks_ = 0;
  bool over_ = false;
};

void RunSeeds(uint64_t first, uint64_t count, End end) {
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = SeedOr(first);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed));
    Storm(seed, end).Run();
  }
}

TEST(Storm, KillsLoseNothingThatWasAcknowledged) { RunSeeds(1, 600, End::kKill); }

TEST(Storm, PowerLossLosesNothingThatWasFlushed) { RunSeeds(10'000, 1500, End::kPower); }

TEST(Storm, WhatIsOpenedAfterAKillOutlivesAPowerLoss) {
  RunSeeds(20'000, 600, End::kKillThenPower);
}

}  // namespace
}  // namespace atl
