// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "peers/store/memory/memory_store.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/executor.h"
#include "xseg/base/test_env.h"
#include "xseg/port_claim.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

// Answers what it is asked to: `limit` bytes of chunk content, or an error with a text as long.
class Talker {
 public:
  Task<Result<ChunkContent>> Do(const RpcCall& call, StoreGetChunkOp& op) {
    replayed = call.replayed;
    uint32_t length;
    std::memcpy(&length, op.id.data(), sizeof(length));
    ++answers;
    co_return ChunkContent{Bytes(length, std::byte{7})};
  }
  Task<Status> Do(const RpcCall&, StoreSyncOp& op) {
    co_return Status(Code::kIo, std::string(op.blob.epoch, 'x'));
  }
  Task<Status> Do(const RpcCall& call, StoreWriteOp&) {
    last = call.data;
    co_return OkStatus();
  }
  int answers = 0;
  bool replayed = false;
  MutSpan last;
};

class RpcTest : public ::testing::Test {
 protected:
  RpcTest() {
    server_->server().Add(OpList<StoreGetChunkOp, StoreSyncOp, StoreWriteOp>{}, &talker_);
    server_->server().Serve();
    target_ = *client_->client().Find("server");
  }
  // The next one of that name, up to its Serve.
  void ServeAnew() {
    server_ = OpenPeerOrDie(&env_, segment_.get(), "server");
    server_->server().Add(OpList<StoreGetChunkOp, StoreSyncOp, StoreWriteOp>{}, &talker_);
    env_.RunUntilIdle();
  }
  template <typename O>
  auto Call(O op, ConstSpan in = {}) {
    return env_.Run(client_->client().Call(target_, op, in));
  }
  Task<void> Ask(StoreGetChunkOp op, Code* code) {
    *code = (co_await client_->client().Call(target_, op)).code();
  }
  Task<void> Count(StoreGetChunkOp op, int* done) {
    *done += (co_await client_->client().Call(target_, op)).ok();
  }
  // Sends bytes that no client would.
  Code SendRaw(uint16_t op, ConstSpan arguments, BufferRef buffer) {
    return env_.Run(RawTask(op, arguments, buffer));
  }
  Task<Code> RawTask(uint16_t op, ConstSpan arguments, BufferRef buffer) {
    PortPoller& poller = client_->client().poller();
    Request request = co_await poller.Prepare(op);
    request.SetArguments(arguments);
    request.ReferTo(buffer);
    const Request answer = co_await poller.Call(std::move(request), target_.port);
    co_return answer.code();
  }

  TestEnv env_;
  std::unique_ptr<Segment> segment_ = MakeSegment(kPeersGeometry);
  Talker talker_;
  std::unique_ptr<PeerPort> server_ = OpenPeerOrDie(&env_, segment_.get(), "server");
  std::unique_ptr<PeerPort> client_ = OpenPeerOrDie(&env_, segment_.get(), "client");
  RpcTarget target_;
};

StoreGetChunkOp AskFor(uint32_t length) {
  StoreGetChunkOp op;
  std::memcpy(op.id.data(), &length, sizeof(length));
  return op;
}

TEST_F(RpcTest, AnAnswerOfAnySizeComesWhole) {
  for (const uint32_t length : {0u, 100u, 188u, 189u, 70'000u, 1u << 20, 4u << 20}) {
    const auto content = Call(AskFor(length));
    ASSERT_TRUE(content.ok()) << length << ": " << content.status().ToString();
    EXPECT_EQ(content->bytes, Bytes(length, std::byte{7}));
  }
  EXPECT_EQ(client_->port().buffers().in_use(), 0u);
}

TEST_F(RpcTest, OnlyAnAnswerThatDidNotFitIsAskedForAgain) {
  ASSERT_TRUE(Call(AskFor(1000)).ok());
  EXPECT_EQ(talker_.answers, 1);
  ASSERT_TRUE(Call(AskFor(3u << 20)).ok());
  EXPECT_EQ(talker_.answers, 3);
}

TEST_F(RpcTest, AnErrorTravelsWithItsWholeText) {
  for (const uint32_t length : {0u, 192u, 193u, 100'000u}) {
    StoreSyncOp op;
    op.blob.epoch = length;
    const auto reply = Call(op);
    EXPECT_EQ(reply.code(), Code::kIo);
    EXPECT_EQ(reply.status().message(), std::string(length, 'x'));
  }
}

TEST_F(RpcTest, DataInTheSegmentIsUsedInPlaceAndOtherDataIsCopied) {
  Buffer buffer = env_.Run(client_->buffers().Get(5000));
  ASSERT_TRUE(Call(StoreWriteOp{}, buffer.span()).ok());
  EXPECT_EQ(talker_.last.data(), buffer.span().data());
  EXPECT_EQ(talker_.last.size(), 5000u);
  const Bytes outside(5000);
  ASSERT_TRUE(Call(StoreWriteOp{}, outside).ok());
  EXPECT_NE(talker_.last.data(), outside.data());
  EXPECT_EQ(client_->port().buffers().in_use(), 1u);
}

TEST_F(RpcTest, MoreCallsThanSlotsWaitInLine) {
  TaskGroup group;
  int done = 0;
  for (int i = 0; i < 1000; ++i) group.Run(Count(AskFor(10), &done));
  env_.RunUntilIdle();
  EXPECT_EQ(done, 1000);
}

TEST_F(RpcTest, AnUnknownOperationIsRefused) {
  EXPECT_EQ(Call(StoreSweepOp{}).code(), Code::kUnsupported);
  EXPECT_EQ(SendRaw(9999, {}, {}), Code::kUnsupported);
}

TEST_F(RpcTest, RequestsThatMakeNoSenseAreAnsweredWithAnError) {
  const auto op = static_cast<uint16_t>(Op::kStoreWrite);
  EXPECT_EQ(SendRaw(op, {}, {}), Code::kInvalid);
  const RpcHead heads[] = {{0, 0, 0},                     // No fields.
                           {0, 0, 170},                   // More fields than there are.
                           {0, 0, 0xFFFFFFFF},            // In a message that is absent.
                           {~0ull, 4096, 4096},           // In one that is not in the segment.
                           {0, 0xFFFFFFFF, 0xFFFFFFFF}};  // Nor this one.
  for (const RpcHead& head : heads) {
    EXPECT_EQ(SendRaw(op, std::as_bytes(std::span(&head, 1)), {}), Code::kInvalid);
  }
  const BufferRef outside{segment_->area().size() - 10, 20};
  EXPECT_EQ(SendRaw(op, std::as_bytes(std::span(&heads[0], 1)), outside), Code::kInvalid);
  EXPECT_TRUE(talker_.last.empty());
}

TEST_F(RpcTest, RandomBytesAreNeverMoreThanAnError) {
  MemoryStore store(env_);
  ServedStore served(&env_, segment_.get(), "store", &store);
  target_ = *client_->client().Find("store");
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::byte, kInlineArgumentBytes> bytes;
    for (auto& byte : bytes) byte = static_cast<std::byte>(env_.Random());
    RpcHead head{0, 0, static_cast<uint32_t>(env_.Random() % (kRpcInlineBytes + 2))};
    std::memcpy(bytes.data(), &head, sizeof(head));
    const auto op = static_cast<uint16_t>(128 + env_.Random() % 40);
    const BufferRef buffer{env_.Random() % (2 * segment_->area().size()),
                           static_cast<uint32_t>(env_.Random() % 8192)};
    (void)SendRaw(op, bytes, buffer);
  }
  EXPECT_TRUE(env_.Run(store.GetCapacity()).ok());
  const auto close = [](Store* store) -> Task<int> {
    co_await store->Close();
    co_return 0;
  };
  env_.Run(close(&store));
}

TEST_F(RpcTest, WhoAsksAPeerThatHasEndedInOrderIsToldSo) {
  server_.reset();
  const auto reply = Call(AskFor(1));
  EXPECT_EQ(reply.code(), Code::kUnavailable);
  EXPECT_NE(reply.status().message().find("server"), std::string::npos);
}

TEST_F(RpcTest, WhoAsksADeadPeerWaitsForItsSuccessor) {
  const PortIndex port = server_->port().index();
  server_->port().Vanish();
  server_.reset();
  ASSERT_TRUE(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
  Code code = Code::kInternal;
  Spawn(Ask(AskFor(1), &code));
  env_.RunUntilIdle();
  ASSERT_TRUE(Release(*segment_, port).ok());
  Spawn(Ask(AskFor(1), &code));
  env_.RunUntilIdle();
  EXPECT_EQ(code, Code::kInternal) << "somebody has answered";
  ServeAnew();
  EXPECT_EQ(talker_.answers, 0) << "it is not ready yet";
  server_->server().Serve();
  env_.RunUntilIdle();
  EXPECT_EQ(code, Code::kOk);
  EXPECT_EQ(talker_.answers, 2);
  EXPECT_FALSE(talker_.replayed);
}

TEST_F(RpcTest, ASuccessorIsToldWhatMayHaveBeenDone) {
  const PortIndex port = server_->port().index();
  Code code = Code::kInternal;
  server_->port().Vanish();  // It takes the request, and its answer is never sent.
  Spawn(Ask(AskFor(1), &code));
  env_.RunUntilIdle();
  EXPECT_EQ(talker_.answers, 1);
  EXPECT_EQ(code, Code::kInternal);
  server_.reset();
  ASSERT_TRUE(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
  ASSERT_TRUE(Release(*segment_, port).ok());
  ServeAnew();
  server_->server().Serve();
  env_.RunUntilIdle();
  EXPECT_EQ(code, Code::kOk);
  EXPECT_EQ(talker_.answers, 2);
  EXPECT_TRUE(talker_.replayed);
}

TEST_F(RpcTest, WhatADeadSenderHadAskedIsNotDoneByASuccessor) {
  const PortIndex port = server_->port().index();
  Code code = Code::kInternal;
  server_->port().Vanish();
  Spawn(Ask(AskFor(1), &code));
  env_.RunUntilIdle();
  server_.reset();
  ASSERT_TRUE(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
  ASSERT_TRUE(Release(*segment_, port).ok());
  ServeAnew();
  const PortIndex sender = client_->port().index();
  ASSERT_TRUE(Quarantine(*segment_, sender, ProofOfDeath::kCallerKnows).ok());
  server_->server().Serve();
  EXPECT_EQ(talker_.answers, 1);
  EXPECT_TRUE(Release(*segment_, sender).ok()) << "nothing of it is in flight any more";
  env_.RunUntilIdle();
}

TEST_F(RpcTest, WhoWaitsForAPeerThatDiesIsAnsweredByTheSupervisor) {
  const PortIndex port = server_->port().index();
  server_->port().Vanish();
  server_.reset();  // Its port still looks alive, so the request goes out.
  Code code = Code::kOk;
  Spawn(Ask(AskFor(1), &code));
  env_.RunUntilIdle();
  EXPECT_EQ(code, Code::kOk);
  ASSERT_TRUE(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
  EXPECT_EQ(AnswerAllHeldBy(*segment_, port, Code::kUnavailable), 1u);
  env_.RunUntilIdle();
  EXPECT_EQ(code, Code::kUnavailable);
}

TEST(RpcThreads, AStoreOnAnotherThreadServesManyCallsAtOnce) {
  auto segment = MakeSegment(kPeersGeometry);
  std::atomic<Executor*> running{nullptr};
  std::thread peer([&] {
    Executor executor;
    MemoryStore store(executor);
    {
      ServedStore served(&executor, segment.get(), "store", &store);
      running = &executor;
      executor.Run();
    }
    executor.RunUntilDone(store.Close());
  });
  while (running == nullptr) std::this_thread::yield();
  {
    Executor executor;
    auto client = OpenPeerOrDie(&executor, segment.get(), "client");
    const auto work = [](RpcClient* client) -> Task<bool> {
      auto store = co_await RemoteStore::Connect(client, "store");
      if (!store.ok()) co_return false;
      const BlobId blob{Uuid::FromRandom(1, 2), 1, 0};
      if (!(co_await (*store)->Adopt(blob, 0)).ok()) co_return false;
      TaskGroup group;
      int wrong = 0;
      const auto one = [](Store* store, BlobId blob, uint64_t i, int* wrong) -> Task<void> {
        const Bytes data(4096, static_cast<std::byte>(i));
        Bytes back(4096);
        *wrong += !(co_await store->Write(blob, i * 4096, data, {})).ok();
        *wrong += !(co_await store->Read(blob, i * 4096, back)).ok();
        *wrong += back != data;
      };
      for (uint64_t i = 0; i < 2000; ++i) group.Run(one(store->get(), blob, i, &wrong));
      co_await group.Join();
      co_return wrong == 0;
    };
    EXPECT_TRUE(executor.RunUntilDone(work(&client->client())));
  }
  running.load()->Stop();
  peer.join();
}

}  // namespace
}  // namespace atl
