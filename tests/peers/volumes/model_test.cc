// SPDX-License-Identifier: Apache-2.0
//
// Random sequences of everything one can do with volumes, snapshots and clones, against an oracle:
// with restarts, deaths of the node (kill -9, with writes in flight) and power losses in between.
// A failure prints its seed; ATOLL_SEED repeats it alone.
#include <gtest/gtest.h>

#include <random>

#include "tests/peers/volumes/node_harness.h"
#include "tests/peers/volumes/oracle.h"

namespace atl {
namespace {

constexpr uint64_t kSize = 3 * kMiB + 512 * 3;  // Three leaves and a crooked end.

class Model {
 public:
  explicit Model(uint64_t seed, bool crashes)
      : env_(seed), world_({.seed = seed}), random_(seed), crashes_(crashes) {
    StartNode();
    env_.ShuffleReady();
  }
  ~Model() {
    devices_.clear();
    EXPECT_TRUE(node_->Stop().ok());
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) Step();
    if (!::testing::Test::HasFatalFailure()) CheckAll("at the end");
  }

 private:
  struct Resource {
    Oracle oracle;
    bool snapshot = false;
    std::string parent;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  void StartNode() {
    const Uuid before = node_ ? node_->incarnation() : Uuid();
    node_.reset();
    node_ = std::make_unique<MemoryNode>(&env_, &world_,
                                         NodeOptions{.name = "n" + std::to_string(++nodes_)});
    if (!before.is_zero()) ASSERT_TRUE(env_.Run(node_->atoll().BuryPredecessor(before)).ok());
  }

  Device* DeviceOf(const std::string& name) {
    auto& device = devices_[name];
    if (!device) {
      auto opened = env_.Run(node_->atoll().Open(ResourceRef::Named(name), OpenMode::kReadWrite));
      EXPECT_TRUE(opened.ok()) << name << ": " << opened.status().ToString();
      if (opened.ok()) device = *std::move(opened);
    }
    return device.get();
  }
  void CloseDevice(const std::string& name) {
    const auto found = devices_.find(name);
    if (found == devices_.end()) return;
    if (found->second) env_.Run(CloseTask(found->second.get()));
    devices_.erase(found);
  }
  static Task<int> CloseTask(Device* device) {
    co_await device->Close();
    co_return 0;
  }

  std::string Pick(bool snapshot) {
    std::vector<std::string> names;
    for (const auto& [name, resource] : resources_) {
      if (resource.snapshot == snapshot) names.push_back(name);
    }
    return names.empty() ? "" : names[Below(names.size())];
  }
  ByteRange PickRange(uint64_t size) {
    const uint64_t sectors = size / kSector;
    const uint64_t first = Below(sectors);
    // Mostly a few sectors, sometimes whole leaves.
    const uint64_t most = Below(8) == 0 ? sectors : 24;
    const uint64_t count = std::min(sectors - first, 1 + Below(most));
    return {first * kSector, count * kSector};
  }

  void Step() {
    switch (Below(crashes_ ? 24 : 21)) {
      case 0:
        return Create();
      case 1:
        return Snapshot();
      case 2:
        return Clone();
      case 3:
        return Remove();
      case 4:
        return Resize();
      case 5:
        return Rollback();
      case 6:
        return Rename();
      case 7:
        return Restart();
      case 8:
        return CollectGarbage();
      case 9:
        return FlushOne();
      case 10:
        return CloseDevice(Pick(false));
      case 21:
        return Kill();
      case 22:
        return PowerLoss();
      default:
        return InputOutput();
    }
  }

  void Create() {
    if (resources_.size() >= 12) return;
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = "v" + std::to_string(++names_);
    spec.size = kSize;
    const auto made = env_.Run(node_->atoll().Create(spec));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    resources_[spec.name].oracle.Resize(spec.size);
  }
  void Snapshot() {
    const std::string volume = Pick(false);
    if (volume.empty() || resources_.size() >= 12) return;
    SnapshotSpec spec;
    spec.uuid = env_.NewUuid();
    spec.volume = ResourceRef::Named(volume);
    spec.name = "s" + std::to_string(++names_);
    const auto made = env_.Run(node_->atoll().Snapshot(spec));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    // Everything before it was flushed by it.
    resources_[volume].oracle.Flush();
    resources_[spec.name] = {resources_[volume].oracle, true, volume};
  }
  void Clone() {
    const std::string snapshot = Pick(true);
    if (snapshot.empty() || resources_.size() >= 12) return;
    CreateSpec spec;
    spec.uuid = env_.NewUuid();
    spec.name = "c" + std::to_string(++names_);
    spec.from = ResourceRef::Named(snapshot);
    spec.size = Below(2) == 0 ? 0 : resources_[snapshot].oracle.size() + kMiB;
    const auto made = env_.Run(node_->atoll().Create(spec));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    resources_[spec.name] = {resources_[snapshot].oracle, false, snapshot};
    resources_[spec.name].oracle.Resize(made->size);
  }
  void Remove() {
    const std::string name = Pick(Below(2) == 0);
    if (name.empty() || Below(2) == 0) return;
    CloseDevice(name);
    const Status status = env_.Run(node_->atoll().Remove(ResourceRef::Named(name)));
    ASSERT_TRUE(status.ok()) << status.ToString();
    resources_.erase(name);
  }
  void Resize() {
    const std::string name = Pick(false);
    if (name.empty()) return;
    Oracle& oracle = resources_[name].oracle;
    const bool shrink = Below(2) == 0;
    const uint64_t size =
        shrink ? (1 + Below(oracle.size() / kSector)) * kSector : oracle.size() + kSector * 5;
    if (shrink) CloseDevice(name);
    const auto done = env_.Run(node_->atoll().Resize(ResourceRef::Named(name), size, true));
    ASSERT_TRUE(done.ok()) << done.status().ToString();
    if (size < oracle.size()) oracle.Flush();
    oracle.Resize(size);
  }
  void Rollback() {
    const std::string snapshot = Pick(true);
    if (snapshot.empty()) return;
    const std::string volume = resources_[snapshot].parent;
    if (!resources_.contains(volume)) return;
    CloseDevice(volume);
    const auto done =
        env_.Run(node_->atoll().Rollback(ResourceRef::Named(volume), ResourceRef::Named(snapshot)));
    ASSERT_TRUE(done.ok()) << done.status().ToString();
    resources_[volume].oracle = resources_[snapshot].oracle;
  }
  void Rename() {
    const std::string name = Pick(false);
    if (name.empty()) return;
    const std::string next = "r" + std::to_string(++names_);
    CloseDevice(name);
    const auto done = env_.Run(node_->atoll().Rename(ResourceRef::Named(name), next));
    ASSERT_TRUE(done.ok()) << done.status().ToString();
    auto moved = resources_.extract(name);
    moved.key() = next;
    resources_.insert(std::move(moved));
    for (auto& [other, resource] : resources_) {
      if (resource.parent == name) resource.parent = next;
    }
  }
  void CollectGarbage() {
    const auto report = env_.Run(node_->atoll().CollectGarbage(false));
    ASSERT_TRUE(report.ok()) << report.status().ToString();
  }
  void FlushOne() {
    const std::string name = Pick(false);
    if (name.empty()) return;
    Device* device = DeviceOf(name);
    ASSERT_NE(device, nullptr);
    const Status status = env_.Run(device->Flush());
    ASSERT_TRUE(status.ok()) << status.ToString();
    resources_[name].oracle.Flush();
  }

  // A batch of requests at once; overlapping ones take effect in the order in which they are made.
  void InputOutput() {
    const std::string name = Pick(false);
    if (name.empty()) return;
    Device* device = DeviceOf(name);
    ASSERT_NE(device, nullptr);
    Oracle& oracle = resources_[name].oracle;
    TaskGroup group;
    const uint64_t count = 1 + Below(8);
    for (uint64_t i = 0; i < count; ++i) group.Run(OneRequest(device, &oracle, name));
    env_.Run(Join(&group));
  }
  static Task<int> Join(TaskGroup* group) {
    co_await group->Join();
    co_return 0;
  }
  Task<void> OneRequest(Device* device, Oracle* oracle, std::string name) {
    const ByteRange range = PickRange(oracle->size());
    switch (Below(6)) {
      case 0: {
        Bytes out(range.length);
        const Oracle before = *oracle;
        const Status status = co_await device->Read(range.offset, out);
        EXPECT_TRUE(status.ok()) << status.ToString();
        before.CheckRead(range, out, name);
        break;
      }
      case 1: {
        oracle->Submit(range, 0);
        oracle->Acknowledge(range, 0);
        const Status status = co_await device->Discard(range, {});
        EXPECT_TRUE(status.ok()) << status.ToString();
        break;
      }
      case 2: {
        oracle->Submit(range, 0);
        oracle->Acknowledge(range, 0);
        DeviceZeroOptions options;
        options.no_hole = true;
        const Status status = co_await device->WriteZeroes(range, options);
        EXPECT_TRUE(status.ok()) << status.ToString();
        break;
      }
      default: {
        const Oracle::Mark mark = Below(8) == 0 ? 0 : ++marks_;
        const Bytes data = Oracle::Fill(mark, range.length);
        oracle->Submit(range, mark);
        // Others that overlap come after it, so it counts from now on for reads that follow.
        oracle->Acknowledge(range, mark);
        DeviceWriteOptions options;
        options.fua = Below(8) == 0;
        options.detect_zeroes = Below(4) == 0;
        const Status status = co_await device->Write(range.offset, data, options);
        EXPECT_TRUE(status.ok()) << status.ToString();
        break;
      }
    }
  }

  void Restart() {
    while (!devices_.empty()) CloseDevice(devices_.begin()->first);
    const Status status = node_->Stop();
    ASSERT_TRUE(status.ok()) << status.ToString();
    StartNode();
    CheckSome("after a restart");
  }
  void Kill() {
    devices_.clear();
    node_->Kill();
    StartNode();
    CheckSome("after kill -9");
  }
  void PowerLoss() {
    devices_.clear();
    world_.PowerLoss(random_());
    node_->Kill();
    StartNode();
    for (auto& [name, resource] : resources_) {
      Bytes bytes;
      ReadWhole(name, resource, &bytes);
      if (::testing::Test::HasFatalFailure()) return;
      resource.oracle.CheckAfterCrash(bytes, !resource.snapshot, name + " after a power loss");
    }
  }

  void ReadWhole(const std::string& name, const Resource& resource, Bytes* bytes) {
    auto device = env_.Run(node_->atoll().Open(ResourceRef::Named(name), OpenMode::kReadOnly));
    ASSERT_TRUE(device.ok()) << name << ": " << device.status().ToString();
    ASSERT_EQ((*device)->info().size, resource.oracle.size()) << name;
    bytes->assign(resource.oracle.size(), std::byte{0xEE});
    const Status status = env_.Run((*device)->Read(0, *bytes));
    env_.Run(CloseTask(device->get()));
    ASSERT_TRUE(status.ok()) << name << ": " << status.ToString();
  }
  void Check(const std::string& name, const std::string& when) {
    const Resource& resource = resources_[name];
    Bytes bytes;
    ReadWhole(name, resource, &bytes);
    if (::testing::Test::HasFatalFailure()) return;
    resource.oracle.CheckRead({0, bytes.size()}, bytes, name + " " + when);
  }
  void CheckSome(const std::string& when) {
    if (resources_.empty()) return;
    auto at = resources_.begin();
    std::advance(at, Below(resources_.size()));
    Check(at->first, when);
  }
  void CheckAll(const std::string& when) {
    for (const auto& [name, resource] : resources_) {
      Check(name, when);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

  TestEnv env_;
  MemoryWorld world_;
  std::mt19937_64 random_;
  const bool crashes_;
  std::unique_ptr<MemoryNode> node_;
  int nodes_ = 0;
  uint64_t names_ = 0;
  Oracle::Mark marks_ = 0;
  std::map<std::string, Resource> resources_;
  std::map<std::string, std::unique_ptr<Device>> devices_;
};

void RunSeeds(uint64_t first, uint64_t count, int steps, bool crashes) {
  if (std::getenv("ATOLL_SEED") != nullptr) {
    first = SeedOr(first);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("ATOLL_SEED=" + std::to_string(seed));
    Model(seed, crashes).Run(steps);
    if (::testing::Test::HasFailure()) break;
  }
}

TEST(Model, RandomOperationsReadBackWhatTheOracleSays) { RunSeeds(1, 300, 120, false); }

TEST(Model, NothingAcknowledgedIsLostByKillsNothingFlushedByPowerLoss) {
  RunSeeds(100'000, 300, 120, true);
}

}  // namespace
}  // namespace atl
