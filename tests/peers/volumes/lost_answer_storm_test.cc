// SPDX-License-Identifier: Apache-2.0
//
// A volume over a store whose calls fail at random, before they have happened or after. Whatever
// was acknowledged is read again, at once and after the node was stopped or killed, if no sync has
// failed since the last flush; a snapshot reads the same for ever; and of what failed each sector
// may have happened or not.
//
// The administrator is patient: a volume that turned read-only is opened again, a node that lost
// its lease starts anew.
#include <spdlog/spdlog.h>

#include <map>
#include <random>
#include <set>

#include "tests/peers/volumes/disturbed.h"
#include "tests/peers/volumes/oracle.h"

namespace atl {
namespace {

constexpr uint64_t kSize = 512 * kKiB;
constexpr uint64_t kSectors = kSize / kSector;

class Storm {
 public:
  explicit Storm(uint64_t seed) : random_(seed), env_(seed), world_({.seed = seed}) {
    sectors_.assign(kSectors, {0});
    since_flush_ = sectors_;
  }

  void Run() {
    Start();
    ASSERT_TRUE(hands_->Create("v", kSize).ok());
    for (int i = 0; i < 150 && !::testing::Test::HasFatalFailure(); ++i) OneStep();
    Calm();
    Restart(Below(2) == 0);
    CheckAll();
    ASSERT_TRUE(hands_->Collect().ok());
    CheckAll();
    EXPECT_GE(acknowledged_, 20) << "a test of nothing";
    EXPECT_GE(failures_, 5) << "a test of nothing";
    (void)node_->Stop();
  }

 private:
  using Marks = std::set<uint64_t>;
  struct Taken {
    bool acknowledged = false;
    std::vector<Marks> sectors;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // --- The node
  void Start() {
    node_ = std::make_unique<MemoryNode>(&env_, &world_);
    hands_ = std::make_unique<Hands>(&env_, &node_->atoll());
  }
  void Calm() { node_->hooks().fail = node_->hooks().lose = nullptr; }
  void Disturb() {
    const auto maybe = [this](const StoreCall& call) -> Status {
      const bool look = call.op == StoreOp::kRead || call.op == StoreOp::kReadLog ||
                        call.op == StoreOp::kListRecords;
      if (look || Below(60) != 0) return {};
      ++failures_;
      sync_failed_ |= call.op == StoreOp::kSync || call.op == StoreOp::kSyncLog ||
                      call.op == StoreOp::kWrite || call.op == StoreOp::kAppend;
      return {Below(4) == 0 ? Code::kUnavailable : Code::kIo, "as told"};
    };
    node_->hooks().fail = maybe;
    node_->hooks().lose = maybe;
  }
  void Restart(bool kill) {
    CloseDevice();
    const Uuid before = node_->incarnation();
    if (kill) {
      node_->Kill();
    } else {
      (void)node_->Stop();
    }
    node_.reset();
    Start();
    ASSERT_TRUE(env_.Run(node_->atoll().BuryPredecessor(before)).ok());
    Open();
  }
  // Until it works: a moment later, by an administrator, on a new node.
  void Open() {
    Calm();
    (void)env_.Run(node_->atoll().Release(Hands::Ref("v")));
    Status opened = env_.Run(node_->atoll().Acquire(Hands::Ref("v")));
    if (!opened.ok()) {
      const Uuid before = node_->incarnation();
      (void)node_->Stop();
      Start();
      ASSERT_TRUE(env_.Run(node_->atoll().BuryPredecessor(before)).ok());
      opened = env_.Run(node_->atoll().Acquire(Hands::Ref("v")));
    }
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    ASSERT_TRUE(env_.Run(node_->atoll().Release(Hands::Ref("v"))).ok());
  }
  static Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }
  void CloseDevice() {
    if (!device_) return;
    env_.Run(CloseTask(device_.get()));
    device_.reset();
  }
  Device& device() {
    if (!device_) {
      Calm();
      device_ = hands_->Open("v");
      Disturb();
    }
    return *device_;
  }
  void Mend(const Status& status) {
    Calm();
    if (status.code() == Code::kFenced) return Restart(false);
    if (status.code() != Code::kReadOnly && Below(4) != 0) return;
    CloseDevice();
    Open();
  }
  // If a sync has failed, what was not flushed may go with the next open.
  void TakeBack() {
    if (!sync_failed_) return;
    for (uint64_t i = 0; i < kSectors; ++i) sectors_[i].merge(Marks(since_flush_[i]));
  }
  Status Flush() {
    const Status status = env_.Run(device().Flush());
    if (!status.ok()) return status;
    TakeBack();  // That may have happened before.
    since_flush_ = sectors_;
    sync_failed_ = false;
    return status;
  }

  // --- What people do
  void OneStep() {
    Disturb();
    const uint64_t kind = Below(12);
    Status status;
    if (kind < 6) {
      status = Put(SomeRange(), kind == 0);
    } else if (kind < 8) {
      status = Zero(SomeRange());
    } else if (kind == 8) {
      status = Flush();
    } else if (kind == 9) {
      status = Snap();
    } else if (kind == 10) {
      env_.RunUntilIdleFor(static_cast<int64_t>(Below(6)) * kSecond);
    } else {
      Calm();
      if (Below(3) == 0) Restart(Below(2) == 0);
      CheckAll();
    }
    if (!status.ok()) Mend(status);
  }
  ByteRange SomeRange() {
    const uint64_t first = Below(kSectors);
    return {first * kSector, std::min(kSectors - first, 1 + Below(24)) * kSector};
  }
  Status Put(ByteRange range, bool fua) {
    const uint64_t mark = ++marks_;
    const Bytes data = Oracle::Fill(mark, range.length);
    const Status status = env_.Run(device().Write(range.offset, data, {.fua = fua}));
    Note(range, mark, status.ok());
    return status;
  }
  Status Zero(ByteRange range) {
    const Status status = env_.Run(device().Discard(range, {}));
    Note(range, 0, status.ok());
    return status;
  }
  void Note(ByteRange range, uint64_t mark, bool acknowledged) {
    acknowledged_ += acknowledged;
    for (uint64_t i = range.offset / kSector; i < range.end() / kSector; ++i) {
      if (acknowledged) sectors_[i].clear();
      sectors_[i].insert(mark);
      since_flush_[i].insert(mark);
    }
  }
  Status Snap() {
    const std::string name = "s" + std::to_string(snapshots_.size());
    TakeBack();
    const auto snap = hands_->Snap("v", name);
    snapshots_[name] = {snap.ok(), sectors_};
    return snap.status();
  }

  // --- What they find
  void CheckAll() {
    CloseDevice();
    std::string now = hands_->Read("v", 0, kSize);
    if (now.size() != kSize) {  // The lease may be lost.
      Restart(false);
      now = hands_->Read("v", 0, kSize);
    }
    TakeBack();
    ASSERT_NO_FATAL_FAILURE(Check("v", now, &sectors_, false));
    for (auto& [name, taken] : snapshots_) {
      const std::string then = hands_->Read(name, 0, kSize);
      if (then.size() != kSize && !taken.acknowledged) continue;
      taken.acknowledged = true;  // It is there, so it stays.
      ASSERT_NO_FATAL_FAILURE(Check(name, then, &taken.sectors, true));
    }
  }
  // What is read is allowed; in a snapshot it is from now on the only thing that is.
  void Check(const std::string& name, const std::string& text, std::vector<Marks>* allowed,
             bool fix) {
    ASSERT_EQ(text.size(), kSize) << name << ": " << text.substr(0, 200);
    for (uint64_t i = 0; i < kSectors; ++i) {
      uint64_t mark;
      std::memcpy(&mark, text.data() + i * kSector, 8);
      for (size_t k = 0; k < kSector; k += 8) {
        ASSERT_EQ(std::memcmp(text.data() + i * kSector + k, &mark, 8), 0)
            << name << ": a torn sector " << i;
      }
      ASSERT_TRUE((*allowed)[i].contains(mark))
          << name << ": sector " << i << " reads " << mark << ", not " << *(*allowed)[i].begin();
      if (fix) (*allowed)[i] = {mark};
    }
  }

  std::mt19937_64 random_;
  TestEnv env_;
  MemoryWorld world_;
  std::unique_ptr<MemoryNode> node_;
  std::unique_ptr<Hands> hands_;
  std::unique_ptr<Device> device_;
  std::vector<Marks> sectors_;
  std::vector<Marks> since_flush_;  // What it was then, and all that was written since.
  bool sync_failed_ = false;        // Or something that counts as that, since the last flush.
  std::map<std::string, Taken> snapshots_;
  uint64_t marks_ = 0;
  int acknowledged_ = 0;
  int failures_ = 0;
};

TEST(LostAnswerStorm, NothingAcknowledgedIsLostByCallsThatFailBeforeTheyHappenOrAfter) {
  spdlog::set_level(spdlog::level::off);  // Errors are what it is made of.
  uint64_t first = 1;
  uint64_t count = 150;
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = SeedOr(first);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed));
    Storm(seed).Run();
  }
}

}  // namespace
}  // namespace atl
