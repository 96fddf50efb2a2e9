// SPDX-License-Identifier: Apache-2.0
//
// A create that is made again finds its own work and leaves it alone, whatever became of the
// snapshot or of the name since.
#include <gtest/gtest.h>

#include <optional>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using Outcome = std::optional<Status>;

bool IsHeaderSwap(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kSwapRecord && key != nullptr && key->kind == RecordKind::kHeader;
}

bool IsNameRead(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return call.op == StoreOp::kGetRecord && key != nullptr && key->kind == RecordKind::kName;
}

CreateSpec Spec(Uuid uuid, std::string name, std::string snapshot) {
  CreateSpec spec;
  spec.uuid = uuid;
  spec.name = std::move(name);
  if (snapshot.empty()) {
    spec.size = kMiB;
  } else {
    spec.from = ResourceRef::Named(std::move(snapshot));
  }
  return spec;
}

Task<void> CreateTask(LocalAtoll* atoll, CreateSpec spec, Outcome* out) {
  out->emplace((co_await atoll->Create(spec)).status());
}

class CloneRepeat : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(hands_.Create("v", kMiB).ok());
    ASSERT_TRUE(hands_.Write("v", 0, "then", true).ok());
    ASSERT_TRUE(hands_.Snap("v", "daily").ok());
  }
  void TearDown() override { EXPECT_TRUE(node_.Stop().ok()); }
  void MakeClone() {
    ASSERT_TRUE(hands_.Clone("c", "daily", 0, uuid_).ok());
    ASSERT_TRUE(hands_.Write("c", 4, "mine", true).ok());
  }
  void Settle() { env_.RunUntilIdleFor(10 * kMillisecond); }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
  const Uuid uuid_ = env_.NewUuid();
};

TEST_F(CloneRepeat, FindsItsCloneAfterTheSnapshotWasMadeAnew) {
  MakeClone();
  ASSERT_TRUE(hands_.Remove("daily").ok());
  ASSERT_TRUE(hands_.Snap("v", "daily").ok());
  const auto again = hands_.Clone("c", "daily", 0, uuid_);
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(hands_.Read("c", 0, 8), "thenmine");
}

TEST_F(CloneRepeat, FindsItsCloneAfterTheSnapshotHasGone) {
  MakeClone();
  ASSERT_TRUE(hands_.Remove("daily").ok());
  const auto again = hands_.Clone("c", "daily", 0, uuid_);
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(hands_.Read("c", 0, 8), "thenmine");
}

TEST_F(CloneRepeat, LeavesAFinishedCloneAloneWhileTheSnapshotIsRemoved) {
  MakeClone();
  node_.hooks().stops = IsHeaderSwap;
  Outcome outcome;
  Spawn(CreateTask(&node_.atoll(), Spec(uuid_, "c", "daily"), &outcome));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  ASSERT_TRUE(hands_.Remove("daily").ok());
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << outcome->ToString();
  EXPECT_EQ(hands_.Read("c", 0, 8), "thenmine");
}

TEST_F(CloneRepeat, LeavesACloneAloneThatSomebodyElseHasFinishedMeanwhile) {
  // The first maker is between the header and the second look at the snapshot.
  const auto info = env_.Run(node_.atoll().Show(Hands::Ref("daily"), false));
  ASSERT_TRUE(info.ok());
  const RecordKey snapshot = RecordKey::Of(RecordKind::kHeader, info->uuid);
  bool put = false;
  node_.hooks().after = [&put](const StoreCall& call) { put = put || IsHeaderSwap(call); };
  node_.hooks().stops = [&put, snapshot](const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    return put && call.op == StoreOp::kGetRecord && key != nullptr && *key == snapshot;
  };
  Outcome outcome;
  Spawn(CreateTask(&node_.atoll(), Spec(uuid_, "c", "daily"), &outcome));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  ASSERT_TRUE(hands_.Write("c", 4, "mine", true).ok()) << "opening finishes it";
  ASSERT_TRUE(hands_.Remove("daily").ok());
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << outcome->ToString();
  EXPECT_EQ(hands_.Read("c", 0, 8), "thenmine");
  node_.hooks().Clear();
}

TEST_F(CloneRepeat, TakesNoOtherVolumeForItsWork) {
  ASSERT_TRUE(hands_.Create("p", kMiB, uuid_).ok());
  ASSERT_TRUE(hands_.Write("p", 0, "mine", true).ok());
  EXPECT_EQ(hands_.Clone("p", "daily", 0, uuid_).code(), Code::kExists);
  EXPECT_EQ(hands_.Read("p", 0, 4), "mine");
}

// Between the header and the second look at the name the volume is used, and gets another name.
TEST_F(CloneRepeat, LeavesAVolumeAloneThatWasRenamedMeanwhile) {
  bool put = false;
  node_.hooks().after = [&put](const StoreCall& call) { put = put || IsHeaderSwap(call); };
  node_.hooks().stops = [&put](const StoreCall& call) { return put && IsNameRead(call); };
  Outcome outcome;
  Spawn(CreateTask(&node_.atoll(), Spec(uuid_, "p", ""), &outcome));
  Settle();
  ASSERT_TRUE(node_.hooks().stopped.is_set());
  ASSERT_TRUE(hands_.Rename("p", "q").ok());
  node_.hooks().go.Set();
  Settle();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << outcome->ToString();
  EXPECT_TRUE(hands_.Write("q", 0, "mine", true).ok());
  node_.hooks().Clear();
}

}  // namespace
}  // namespace atl
