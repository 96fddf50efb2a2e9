// SPDX-License-Identifier: Apache-2.0
//
// Random sequences of everything one can do with volumes, snapshots and clones, against an oracle:
// with restarts, deaths of the node and power losses in between, also while requests or an
// operation are in flight. One model for every driver; the World is what differs.
//
// Each sequence has a seed, and a failure prints it. In the environment, ATOLL_SEED runs that one
// alone, and ATOLL_SEEDS another number of them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "tests/peers/volumes/oracle.h"
#include "tests/peers/volumes/world.h"

namespace atl {

struct ModelOptions {
  uint64_t size = kMiB + 512 * 3;  // Of a new volume: whole leaves and a crooked end.
  int steps = 30;
  bool crashes = false;
};

class Model {
 public:
  Model(uint64_t seed, std::unique_ptr<World> world, ModelOptions options);

  // Runs a sequence. Stops at the first failure of the test.
  void Run();

 private:
  struct Resource {
    Uuid uuid;
    std::string name;
    bool snapshot = false;
    Uuid parent;  // Of a snapshot.
    Oracle oracle;
    Oracle* image = nullptr;  // What a snapshot that is being taken of it may be.
    // Opened in this life of the node, so an orderly end flushes it.
    bool opened = false;
  };
  // A change of what there is. It may be made again after its node has died.
  struct Change {
    std::function<Task<Status>()> make;
    std::function<void()> apply;  // To what the model knows, once it was made.
  };
  struct Request {
    ByteRange range;
    Oracle::Mark mark = 0;
    Oracle::Kind kind = Oracle::Kind::kWrite;
  };
  // Requests to one volume at once.
  struct Batch {
    Resource* resource = nullptr;
    Device* device = nullptr;
    std::vector<Request> requests;
    TaskGroup group;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  Uuid NewUuid();
  bool failed() const { return ::testing::Test::HasFailure(); }
  Atoll& atoll() { return world_->atoll(); }
  void Expect(const Status& status, const std::string& what);
  // Of what an oracle has said.
  static void Complain(const std::string& wrong) {
    if (!wrong.empty()) ADD_FAILURE() << wrong;
  }
  Resource* Pick(bool snapshot);
  bool full() const { return resources_.size() >= 12; }
  Resource* Add(const Uuid& uuid, std::string name);

  // The steps.
  void Step();
  void Make(Change change);
  Change PickChange();
  Change Create();
  Change Snapshot();
  Change Clone();
  Change Remove();
  Change Resize();
  Change Rollback();
  Change Rename();
  Change CollectGarbage();
  void CloseSome();
  void InputOutput();
  void SnapshotUnderLoad();
  void Restart();
  void DieInOperation();
  void DieInInputOutput();

  // Input and output.
  Device* DeviceOf(Resource* resource);
  void CloseDevice(Resource* resource);
  bool Counts(const Status& status, const std::string& what);
  bool Open(Batch* batch);
  void Launch(Batch* batch, uint64_t most = 8);
  // Once in `often` times.
  void MayReplaceTheMapper(Batch* batch, uint64_t often);
  ByteRange PickRange(uint64_t size);
  void Read(Batch* batch, ByteRange range);
  void Flush(Batch* batch);
  void Write(Batch* batch, ByteRange range);
  void Zero(Batch* batch, ByteRange range);
  Oracle::Mark Submit(Batch* batch, ByteRange range, Oracle::Kind kind);
  Task<void> ReadTask(Batch* batch, ByteRange range, std::vector<Oracle::Mark> shown);
  Task<void> FlushTask(Batch* batch, std::vector<Oracle::Mark> covered);
  Task<void> WriteTask(Batch* batch, ByteRange range, Oracle::Mark mark, Bytes data,
                       DeviceWriteOptions options);
  Task<void> ZeroTask(Batch* batch, ByteRange range, Oracle::Mark mark, uint64_t kind);
  Task<void> TakeSnapshot(Batch* batch, Resource* snapshot, std::vector<Oracle::Mark> floor);
  void CheckWhole(const Batch& batch, ConstSpan bytes);

  // Lives and checks.
  void StartNode();
  void Die(TaskGroup* in_flight, bool power);
  void SettleAll();
  Task<Status> ReadWhole(Resource* resource, Bytes* bytes);
  Bytes Look(Resource* resource);
  void Check(Resource* resource, const std::string& when);
  void CheckSome(const std::string& when);
  void CheckAll();
  void CheckNames();
  // A check finds no error, whatever has happened before.
  void CheckMetadata(const std::string& when);
  Task<void> CheckBeside(Batch* batch);
  void CheckNothingIsLeft();

  const std::unique_ptr<World> world_;
  const ModelOptions options_;
  std::mt19937_64 random_;
  bool dying_ = false;  // Calls may fail.
  uint64_t names_ = 0;
  Oracle::Mark marks_ = 0;
  std::map<Uuid, Resource> resources_;
  std::map<Uuid, std::unique_ptr<Device>> devices_;
};

using MakeWorld = std::function<std::unique_ptr<World>(uint64_t seed)>;
// `count` sequences, from seed `first` on.
void RunSeeds(uint64_t first, uint64_t count, const ModelOptions& options, const MakeWorld& make);

}  // namespace atl
