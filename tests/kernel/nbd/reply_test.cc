// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/reply.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <vector>

#include "kernel/nbd/limits.h"
#include "tests/kernel/nbd/script.h"

namespace atl::nbd {
namespace {

Bytes Pattern(size_t size, unsigned seed) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + seed);
  return out;
}

TEST(Reply, PutsChunksOneAfterTheOther) {
  Reply reply;
  const Bytes data = Pattern(5, 1);
  reply.AddHole(9, 100, 4096, false);
  reply.AddData(9, 4196, data, false);
  reply.AddDone(9);
  EXPECT_EQ(reply.Flatten(), Script()
                                 .Chunk(0, 2, 9, Script().U64(100).U32(4096))
                                 .Chunk(0, 1, 9, Script().U64(4196).Add(data))
                                 .Chunk(1, 0, 9)
                                 .bytes());
  reply.Clear();
  EXPECT_TRUE(reply.empty());
  EXPECT_TRUE(reply.Flatten().empty());
}

TEST(Reply, DescribesBlockStatus) {
  Reply reply;
  const StatusDescriptor extents[] = {{512, 3}, {1024, 0}};
  reply.AddBlockStatus(4, 1, extents);
  EXPECT_EQ(reply.Flatten(),
            Script().Chunk(1, 5, 4, Script().U32(1).U32(512).U32(3).U32(1024).U32(0)).bytes());
}

// Sends everything in pieces of random sizes, as a socket may take it.
TEST(SendQueue, LosesNoByteWhateverASocketTakes) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::unique_ptr<Reply>> replies;
    std::vector<Bytes> data;
    data.reserve(64);
    SendQueue queue;
    Bytes expected, sent;
    std::vector<Reply*> pushed, ended;
    const auto push = [&] {
      auto reply = std::make_unique<Reply>();
      for (uint64_t i = 0; i < random() % 3; ++i) {
        data.push_back(Pattern(1 + random() % 50, static_cast<unsigned>(random())));
        reply->AddData(random(), random(), data.back(), false);
      }
      reply->AddSimple(random(), kOk);
      const Bytes flat = reply->Flatten();
      expected.insert(expected.end(), flat.begin(), flat.end());
      pushed.push_back(reply.get());
      queue.Push(reply.get());
      replies.push_back(std::move(reply));
    };
    for (int i = 0; i < 5; ++i) push();
    std::array<iovec, 3> pieces;
    for (int turn = 0; !queue.empty(); ++turn) {
      const size_t count = queue.Gather(pieces);
      ASSERT_GT(count, 0u);
      size_t offered = 0;
      for (size_t i = 0; i < count; ++i) {
        ASSERT_GT(pieces[i].iov_len, 0u);
        offered += pieces[i].iov_len;
      }
      // More may come while a send is under way.
      if (turn < 10) push();
      size_t taken = 1 + random() % offered;
      const size_t advanced = taken;
      for (size_t i = 0; taken > 0; ++i) {
        const size_t part = std::min(taken, pieces[i].iov_len);
        const auto* from = static_cast<const std::byte*>(pieces[i].iov_base);
        sent.insert(sent.end(), from, from + part);
        taken -= part;
      }
      queue.Advance(advanced, [&](Reply* reply) { ended.push_back(reply); });
    }
    EXPECT_EQ(sent, expected);
    EXPECT_EQ(ended, pushed);
  }
}

TEST(SendQueue, GathersManyRepliesAtOnceAndStopsAtItsRoom) {
  SendQueue queue;
  std::vector<std::unique_ptr<Reply>> replies;
  for (int i = 0; i < 600; ++i) {
    replies.push_back(std::make_unique<Reply>());
    replies.back()->AddSimple(1, kOk);
    queue.Push(replies.back().get());
  }
  std::array<iovec, kMaxSendPieces> pieces;
  EXPECT_EQ(queue.Gather(pieces), kMaxSendPieces);
  size_t dropped = 0;
  queue.Drop([&](Reply*) { ++dropped; });
  EXPECT_EQ(dropped, 600u);
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, LetsGoOfOneAndSendsTheOthers) {
  for (size_t removed = 0; removed < 3; ++removed) {
    SendQueue queue;
    std::array<Reply, 4> replies;
    for (uint64_t i = 0; i < 3; ++i) {
      replies[i].AddSimple(i, kOk);
      queue.Push(&replies[i]);
    }
    queue.Remove(&replies[removed]);
    replies[3].AddSimple(3, kOk);
    queue.Push(&replies[3]);
    std::vector<Reply*> ended;
    queue.Advance(3 * 16, [&](Reply* reply) { ended.push_back(reply); });
    std::vector<Reply*> expected = {&replies[0], &replies[1], &replies[2], &replies[3]};
    std::erase(expected, &replies[removed]);
    EXPECT_EQ(ended, expected);
    EXPECT_TRUE(queue.empty());
  }
}

TEST(SendQueue, DropsAHalfSentReplyAndGoesOn) {
  SendQueue queue;
  Reply first, second;
  first.AddSimple(1, kOk);
  queue.Push(&first);
  queue.Advance(5, [](Reply*) { FAIL(); });
  int dropped = 0;
  queue.Drop([&](Reply*) { ++dropped; });
  EXPECT_EQ(dropped, 1);
  second.AddSimple(2, kOk);
  queue.Push(&second);
  std::array<iovec, 4> pieces;
  ASSERT_EQ(queue.Gather(pieces), 1u);
  EXPECT_EQ(pieces[0].iov_len, 16u);
}

}  // namespace
}  // namespace atl::nbd
