// SPDX-License-Identifier: Apache-2.0
//
// A composer that breaks the rules of an open map harms nobody but itself.
#include <gtest/gtest.h>

#include "peers/store/memory/memory_store.h"
#include "peers/volumes/local_atoll.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class MapServerTest : public ::testing::Test {
 protected:
  template <typename O>
  Result<typename O::Wire::Reply> Call(O op) {
    RpcClient& client = peers_.composer().client();
    return env_.Run(client.Call(*client.Find("mapper"), op));
  }
  MapServerTest() {
    NodeIdentity identity;
    identity.incarnation = env_.NewUuid();
    identity.boot = ThisBoot();
    atoll_ = std::make_unique<LocalAtoll>(&env_, &peers_.stores(), &peers_.maps(),
                                          &peers_.buffers(), identity);
    CreateSpec spec;
    spec.uuid = uuid_ = env_.NewUuid();
    spec.name = "v";
    spec.size = 16 * kMiB;
    EXPECT_TRUE(env_.Run(atoll_->Create(spec)).ok());
    const auto open = Call(MapOpenOp{0, uuid_, true});
    EXPECT_TRUE(open.ok()) << open.status().ToString();
    handle_ = open->handle;
  }
  ~MapServerTest() override {
    (void)Call(MapCloseOp{handle_});
    EXPECT_EQ(peers_.map_server().open_maps(), 0u);
    EXPECT_TRUE(env_.Run(atoll_->Shutdown()).ok());
    const auto close = [](Store* store) -> Task<int> {
      co_await store->Close();
      co_return 0;
    };
    env_.Run(close(&store_));
  }
  TestEnv env_;
  MemoryStore store_{env_};
  IsolatedPeers peers_{&env_, &store_, [this](Task<void> task) { env_.Run(std::move(task)); }};
  std::unique_ptr<LocalAtoll> atoll_;
  Uuid uuid_;
  uint64_t handle_ = 0;
};

TEST_F(MapServerTest, RangesOutsideOfTheVolumeAreRefused) {
  ASSERT_TRUE(Call(MapAdmitOp{handle_, 0, 8}).ok());
  const uint64_t end = 16 * kMiB / kSubGrain;
  for (const GrainRange range : {GrainRange{0, 0}, GrainRange{end, 1}, GrainRange{0, end + 1},
                                 GrainRange{~0ull, 2}, GrainRange{1, ~0ull}}) {
    EXPECT_EQ(Call(MapTranslateOp{handle_, range, range}).code(), Code::kInvalid);
    EXPECT_EQ(Call(MapCommitOp{handle_, range}).code(), Code::kInvalid);
  }
  EXPECT_TRUE(Call(MapTranslateOp{handle_, {0, end}, {5, 1}}).ok());
}

TEST_F(MapServerTest, NobodyLeavesWhoWasNotAdmitted) {
  EXPECT_EQ(Call(MapAdmitOp{handle_, 1, 1}).code(), Code::kInvalid);
  EXPECT_EQ(Call(MapCommitOp{handle_, {0, 1}}).code(), Code::kInvalid);
  EXPECT_EQ(Call(MapAdmitOp{handle_, 0, 4})->count, 4u);
  EXPECT_EQ(Call(MapAdmitOp{handle_, 5, 1}).code(), Code::kInvalid);
}

TEST_F(MapServerTest, APinWithoutAFlushAndABarrierBehindTheEndAreRefused) {
  ASSERT_TRUE(Call(MapAdmitOp{handle_, 0, 4}).ok());
  const auto done = Call(MapCommitOp{handle_, {0, 1}});
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(Call(MapPinOp{handle_}).code(), Code::kInvalid);
  EXPECT_EQ(Call(MapBarrierOp{handle_, done->position + 1}).code(), Code::kInvalid);
  EXPECT_TRUE(Call(MapBarrierOp{handle_, done->position}).ok());
  EXPECT_EQ(Call(MapPinOp{handle_}).code(), Code::kConflict) << "it was not prepared";
  EXPECT_TRUE(Call(MapPreparePinOp{handle_, {.new_epoch = true}}).ok());
  EXPECT_EQ(Call(MapPinOp{handle_}).code(), Code::kConflict) << "something else was prepared";
  EXPECT_TRUE(Call(MapPreparePinOp{handle_}).ok());
  EXPECT_TRUE(Call(MapPinOp{handle_}).ok());
}

TEST_F(MapServerTest, CommitsOfARequestThatHasLeftTakeNoRoomFromLaterOnes) {
  ASSERT_TRUE(Call(MapCloseOp{handle_}).ok());
  auto opened = env_.Run(peers_.maps().OpenWritable(0, uuid_));
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  MapApi& map = **opened;
  const auto admit = [&] { return map.TryAdmit() || env_.Run(map.Admit()).ok(); };
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(admit());
    for (uint64_t k = 0; k < kCommitsAdmitted; ++k) {
      const GrainRange range{i * kCommitsAdmitted + k, 1};
      ASSERT_TRUE(env_.Run(map.Commit(range, JournalChange::kOwn)).ok());
    }
    map.Leave();
  }
  ASSERT_TRUE(admit());
  map.Leave();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(map.TryAdmit()) << "after " << i << " requests without a commit";
    map.Leave();
  }
  EXPECT_TRUE(env_.Run(map.Barrier(map.NotePosition())).ok());
  EXPECT_TRUE(env_.Run(map.Close()).ok());
}

TEST_F(MapServerTest, AMapIsOpenForItsOwnerOnly) {
  RpcClient& other = peers_.mapper().client();
  const MapCloseOp close{handle_};
  EXPECT_EQ(env_.Run(other.Tell(*other.Find("mapper"), close)).code(), Code::kNotFound);
  EXPECT_EQ(Call(MapTranslateOp{handle_ + 1, {0, 1}, {0, 1}}).code(), Code::kNotFound);
  EXPECT_EQ(Call(MapOpenOp{7, uuid_, true}).code(), Code::kInvalid);
}

TEST_F(MapServerTest, MapsOfADeadComposerAreClosed) {
  EXPECT_EQ(peers_.map_server().open_maps(), 1u);
  EXPECT_TRUE(Call(PeerGoneOp{peers_.composer().port().index()}).ok());
  EXPECT_EQ(peers_.map_server().open_maps(), 0u);
}

}  // namespace
}  // namespace atl
