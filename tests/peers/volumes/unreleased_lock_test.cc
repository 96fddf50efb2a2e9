// SPDX-License-Identifier: Apache-2.0
//
// Locks that could not be given back, because the store was away when their resource was closed.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

bool IsOfLock(const StoreCall& call) {
  const auto* key = std::get_if<RecordKey>(&call.target);
  return key != nullptr && key->kind == RecordKind::kLock;
}

class UnreleasedLock : public Disturbed {
 protected:
  // A snapshot that node `a` has read, and whose lock it could not give back.
  void CloseWithoutRelease(MemoryNode& a) {
    Hands hands(&env_, &a.atoll());
    ASSERT_TRUE(hands.Create("v", kMiB).ok());
    ASSERT_TRUE(hands.Snap("v", "s").ok());
    EXPECT_EQ(hands.Read("s", 0, 1), std::string(1, '\0'));
    a.hooks().fail = [](const StoreCall& call) -> Status {
      return IsOfLock(call) ? Status(Code::kUnavailable, "away") : Status();
    };
    const ResourceRef ref = Hands::Ref("s");
    EXPECT_EQ(env_.Run(a.atoll().Release(ref)).code(), Code::kUnavailable);
    a.hooks().Clear();
  }
};

TEST_F(UnreleasedLock, ItsNodeRemovesTheSnapshotAllTheSame) {
  MemoryNode a(&env_, &world_);
  CloseWithoutRelease(a);
  const Status removed = Hands(&env_, &a.atoll()).Remove("s");
  EXPECT_TRUE(removed.ok()) << removed.ToString();
  EXPECT_TRUE(a.Stop().ok());
}

TEST_F(UnreleasedLock, IsGivenBackOnceTheStoreIsThereAgain) {
  MemoryNode a(&env_, &world_);
  MemoryNode b(&env_, &world_, {.name = "b"});
  CloseWithoutRelease(a);
  Hands other(&env_, &b.atoll());
  EXPECT_EQ(other.Remove("s").code(), Code::kBusy);
  env_.RunUntilIdleFor(6 * kSecond);
  const Status removed = other.Remove("s");
  EXPECT_TRUE(removed.ok()) << removed.ToString();
  EXPECT_TRUE(a.Stop().ok());
  EXPECT_TRUE(b.Stop().ok());
}

TEST_F(UnreleasedLock, IsNotTakenFromWhoHasOpenedTheSnapshotAgain) {
  MemoryNode a(&env_, &world_);
  MemoryNode b(&env_, &world_, {.name = "b"});
  CloseWithoutRelease(a);
  Hands hands(&env_, &a.atoll());
  auto device = hands.Open("s");
  Bytes bytes(kSector);
  EXPECT_TRUE(env_.Run(device->Read(0, bytes)).ok());
  env_.RunUntilIdleFor(12 * kSecond);
  EXPECT_EQ(Hands(&env_, &b.atoll()).Remove("s").code(), Code::kBusy);
  Close(device);
  EXPECT_TRUE(a.Stop().ok());
  EXPECT_TRUE(b.Stop().ok());
}

// As a composer leaves it that dies within a removal; its successor is the same incarnation.
TEST_F(UnreleasedLock, OfARemovalThatWasCutOffKeepsNobodyOutOnItsOwnNode) {
  MemoryNode a(&env_, &world_);
  MemoryNode b(&env_, &world_, {.name = "b"});
  Hands hands(&env_, &a.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Snap("v", "s").ok());
  bool marked = false;
  a.hooks().fail = [&marked](const StoreCall& call) -> Status {
    if (call.op != StoreOp::kSwapRecord) return {};
    const bool is_mark = IsOfLock(call) && !std::exchange(marked, true);
    return is_mark ? Status() : Status(Code::kUnavailable, "away");
  };
  EXPECT_EQ(hands.Remove("s").code(), Code::kUnavailable);
  EXPECT_TRUE(marked);
  a.hooks().Clear();
  EXPECT_EQ(Hands(&env_, &b.atoll()).Read("s", 0, 1).find("not found"), 0u) << "it is at work";
  EXPECT_EQ(hands.Read("s", 0, 1), std::string(1, '\0'));
  EXPECT_TRUE(a.Stop().ok());
  EXPECT_TRUE(b.Stop().ok());
}

}  // namespace
}  // namespace atl
