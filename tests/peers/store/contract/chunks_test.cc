// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "medium.h"
#include "peers/store/sha256.h"

namespace atl {
namespace {

class ChunkContract : public StoreContract {};
CONTRACT_FOR_ALL(ChunkContract);

TEST_P(ChunkContract, ReadsBackWhatWasPutAndPutsItOnce) {
  const Bytes data = Pattern(100'000, 1);
  const ChunkId id = Sha256(data);
  EXPECT_CODE(Code::kNotFound, Run(a->GetChunk(id)));
  EXPECT_OK(Run(a->PutChunk(id, data)));
  EXPECT_OK(Run(b->PutChunk(id, data)));
  EXPECT_EQ(*Run(b->GetChunk(id)), data);
  EXPECT_OK(Run(b->RemoveChunk(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->GetChunk(id)));
  EXPECT_CODE(Code::kNotFound, Run(a->RemoveChunk(id)));
  EXPECT_OK(Run(a->PutChunk(id, data)));
  EXPECT_EQ(*Run(a->GetChunk(id)), data);
}

TEST_P(ChunkContract, ContentThatIsNotItsNameIsRefused) {
  const Bytes data = Pattern(1'000, 1);
  ChunkId id = Sha256(data);
  id[0] ^= 1;
  EXPECT_CODE(Code::kInvalid, Run(a->PutChunk(id, data)));
  EXPECT_CODE(Code::kNotFound, Run(a->GetChunk(id)));
}

TEST_P(ChunkContract, ChunksHaveALimitAndMayBeEmpty) {
  const Bytes most = Pattern(kMaxChunkBytes, 1);
  EXPECT_OK(Run(a->PutChunk(Sha256(most), most)));
  EXPECT_EQ(*Run(b->GetChunk(Sha256(most))), most);
  const Bytes more = Pattern(kMaxChunkBytes + 1, 1);
  EXPECT_CODE(Code::kInvalid, Run(a->PutChunk(Sha256(more), more)));
  EXPECT_OK(Run(a->PutChunk(Sha256({}), {})));
  EXPECT_TRUE(Run(b->GetChunk(Sha256({})))->empty());
}

Task<void> PutAndFlag(Store& store, ChunkId id, ConstSpan data, Status* status) {
  *status = co_await store.PutChunk(id, data);
}

Task<void> Nap(Env& env) { co_await env.Sleep(kMillisecond); }

// The client owns the buffer and may change it at any time. What it may not get is a chunk whose
// content is not its name.
TEST_P(ChunkContract, AttackF15TheBytesHashedAreTheBytesStored) {
  for (int i = 0; i < 20; ++i) {
    Bytes data = Pattern(200'000, 100 + i);
    const Bytes original = data;
    const ChunkId id = Sha256(data);
    Status status{Code::kInternal, "unset"};
    Spawn(PutAndFlag(*a, id, data, &status));
    std::fill(data.begin(), data.end(), std::byte{0x42});
    for (int tries = 0; status.code() == Code::kInternal && tries < 10'000; ++tries) {
      Run(Nap(medium->env()));
    }
    ASSERT_NE(status.code(), Code::kInternal);
    const auto stored = Run(b->GetChunk(id));
    if (status.ok()) {
      ASSERT_TRUE(stored.ok()) << stored.status().ToString();
      EXPECT_EQ(*stored, original);
    } else {
      EXPECT_EQ(stored.code(), Code::kNotFound);
    }
  }
}

TEST_P(ChunkContract, ListsEveryChunkOnceInOrder) {
  std::set<ChunkId> made;
  for (int i = 0; i < 30; ++i) {
    const Bytes data = Pattern(100, 1'000 + i);
    EXPECT_OK(Run(a->PutChunk(Sha256(data), data)));
    made.insert(Sha256(data));
  }
  std::vector<ChunkId> listed;
  std::optional<ChunkId> after;
  while (true) {
    const auto page = Run(b->ListChunks(after, 7));
    ASSERT_TRUE(page.ok());
    listed.insert(listed.end(), page->items.begin(), page->items.end());
    if (page->last) break;
    after = page->items.back();
  }
  EXPECT_EQ(listed, std::vector<ChunkId>(made.begin(), made.end()));
}

}  // namespace
}  // namespace atl
