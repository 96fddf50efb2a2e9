// SPDX-License-Identifier: Apache-2.0
//
// An open that fails, at whatever call, holds nothing afterwards: another node can open the volume.
#include "tests/peers/volumes/disturbed.h"

namespace atl {
namespace {

class OpenFailure : public Disturbed, public ::testing::WithParamInterface<bool> {
 protected:
  // What is opened: blobs, journals, node blobs, headers. Locks and leases are not.
  static bool IsOfVolume(const StoreCall& call) {
    const auto* key = std::get_if<RecordKey>(&call.target);
    if (key != nullptr) return key->kind == RecordKind::kHeader;
    return call.op != StoreOp::kDisown && call.op != StoreOp::kDisownLog &&
           !std::holds_alternative<std::monostate>(call.target);
  }
};

TEST_P(OpenFailure, AnOpenThatFailsAtAnyCallHoldsNothing) {
  const bool happens = GetParam();
  bool failed = true;
  for (int nth = 1; failed; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    MemoryWorld world;
    {
      // As many journals as make the open fold first.
      MemoryNode before(&env_, &world);
      Hands hands(&env_, &before.atoll());
      ASSERT_TRUE(hands.Create("v", kMiB).ok());
      before.hooks().fail = [](const StoreCall& call) -> Status {
        if (call.op != StoreOp::kAdoptLog || !IsOfNodes(call)) return {};
        return {Code::kIo, "no folds"};
      };
      auto device = hands.Open("v");
      for (uint64_t i = 0; i < kMaxReplayJournals; ++i) {
        ASSERT_TRUE(WriteGrain(device.get(), i, 'a').ok());
        ASSERT_TRUE(hands.Snap("v", "s" + std::to_string(i)).ok());
      }
      ASSERT_TRUE(WriteGrain(device.get(), 100, 'z').ok());
      Close(device);
      ASSERT_TRUE(before.Stop().ok());
    }
    MemoryNode node(&env_, &world, {.name = "a"});
    MemoryNode other(&env_, &world, {.name = "b"});
    int left = nth;
    const auto chosen = [&left](const StoreCall& call) -> Status {
      if (!IsOfVolume(call) || --left != 0) return {};
      return {Code::kIo, "as told"};
    };
    (happens ? node.hooks().lose : node.hooks().fail) = chosen;
    const Status opened = env_.Run(node.atoll().Acquire(Hands::Ref("v")));
    failed = left <= 0;
    node.hooks().lose = node.hooks().fail = nullptr;
    if (opened.ok()) {
      ASSERT_TRUE(env_.Run(node.atoll().Release(Hands::Ref("v"))).ok());
    }
    Hands elsewhere(&env_, &other.atoll());
    Status written = elsewhere.Write("v", 0, "here");
    if (written.code() == Code::kReadOnly) {  // A sync has failed, and an administrator acts.
      ASSERT_TRUE(env_.Run(other.atoll().Acquire(Hands::Ref("v"))).ok());
      ASSERT_TRUE(env_.Run(other.atoll().Release(Hands::Ref("v"))).ok());
      written = elsewhere.Write("v", 0, "here");
    }
    EXPECT_TRUE(written.ok()) << written.ToString() << ", after: " << opened.ToString();
    EXPECT_EQ(elsewhere.Read("v", 100 * kSubGrain, 4), "zzzz");
    EXPECT_TRUE(other.Stop().ok());
    (void)node.Stop();
    if (HasFailure()) break;
  }
}
INSTANTIATE_TEST_SUITE_P(, OpenFailure, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "After" : "Before"; });

}  // namespace
}  // namespace atl
