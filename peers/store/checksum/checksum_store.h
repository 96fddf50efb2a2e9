// SPDX-License-Identifier: Apache-2.0
//
// Checksums of data, over any store: a block of a blob that is not what was written is kCorrupt,
// and its bytes are never served. docs/checksums.md says what is promised and why.
//
// A blob is cut into regions (sum_page.h). A region is clean, with durable sums of its durable
// bytes, or dirty, with none:
//
//   clean --a change, before it is submitted, durably--> dirty
//   dirty --all that was written is synced, nothing was for a while--> clean
//
// Whoever writes a blob holds the blob of its sums as well. Of blobs that nobody holds, frozen
// ones, the dirty regions are summed in the background: after a Disown, and in each Sweep.
//
// Threads: those of the store below, which it owns.
#pragma once

#include <bitset>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "peers/store/checksum/sum_page.h"
#include "peers/store/filter/forwarding_store.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

struct ChecksumOptions {
  // Of the sums in this store: those of another one are void. Changes whenever the store was used
  // without sums.
  uint64_t generation = 0;
  // A region is summed when it was not changed for so long.
  int64_t quiet_ns = 3 * kSecond;
  size_t max_cached_pages = 4096;
};

class ChecksumStore final : public ForwardingStore {
 public:
  ChecksumStore(Env& env, std::unique_ptr<Store> below, ChecksumOptions options);
  ~ChecksumStore() override;

  const StoreInfo& info() const override { return info_; }
  Task<void> Close() override;
  Task<void> Disown(const BlobId& blob) override;
  Task<Status> Read(const BlobId& blob, uint64_t offset, MutSpan out) override;
  // What was written and is a hole now is called data, so that who reads it is told.
  Task<Result<std::vector<BlobExtent>>> Extents(const BlobId& blob, ByteRange range) override;
  Task<Result<Page<BlobId>>> ListBlobs(std::optional<BlobId> after, uint32_t limit) override;

  // For tests: blocks that were read and were right; whether there is nothing left to be summed.
  uint64_t verified() const { return verified_; }
  bool is_settled() const;

 private:
  // A summing of one region that is under way.
  struct Summing {
    uint64_t region;
    bool disturbed = false;
  };
  // A blob that this instance has adopted.
  struct DirtyRegion {
    int64_t changed_ns = 0;  // When it was changed last.
    // The sums from before, which stay those of the blocks that were not changed since: damage that
    // was there when something else was changed is not summed as if it were right.
    std::shared_ptr<const SumPage> before;
    std::bitset<kSumsOfPage> changed;
  };
  struct Mine {
    std::list<ByteRange> changing;
    std::map<uint64_t, DirtyRegion> dirty;
    // Whatever their page seems to say, something else may become durable.
    std::set<uint64_t> doubtful;
    std::list<Summing> summing;
    Mutex publishing;  // Of a page, against changes of its region.
    uint64_t pages_changed = 0;
    bool settling = false;
    bool active = false;  // The settling uses the sums right now.
    bool leaving = false;
    Signal idle;
  };
  using MineRef = std::shared_ptr<Mine>;
  using PageRef = std::shared_ptr<const SumPage>;
  using PageKey = std::pair<BlobId, uint64_t>;

  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;

  MineRef Find(const BlobId& blob) const;
  // One adoption of a blob at a time, and none while its sums are made.
  Task<void> BeginAdopt(BlobId blob);
  Task<Status> EndAdopt(BlobId blob, int64_t wait_ns, Status outcome);
  // Nothing that this instance does uses the sums any more; they are given back.
  Task<void> LetGo(BlobId blob);
  // Until the end of the change no sum of the range is believed.
  Task<Status> BeginChange(BlobId blob, ByteRange range);
  void EndChange(const BlobId& blob, ByteRange range);
  Task<Status> MakeDirty(BlobId blob, MineRef mine, uint64_t region);
  Task<Status> MakeManyDirty(BlobId blob, MineRef mine, std::vector<uint64_t> regions);
  void NoteChange(Mine* mine, ByteRange range);
  // Those regions in `range` that may have a page.
  Task<Result<std::vector<uint64_t>>> RegionsWithPages(BlobId blob, ByteRange range);

  // Null: the region is not clean. From the cache, unless `anew`.
  Task<Result<PageRef>> LoadPage(BlobId blob, uint64_t region, bool anew = false);
  // The same where an error means that nothing is known.
  Task<PageRef> PageOf(BlobId blob, uint64_t region, bool anew = false);
  void Cache(const BlobId& blob, uint64_t region, PageRef page);
  void DropCached(const BlobId& blob);

  Task<void> AddWithLost(BlobId blob, BlobExtent extent, std::vector<BlobExtent>* out);
  Task<Status> Verify(BlobId blob, uint64_t offset, MutSpan out);
  Task<Status> VerifyBlock(BlobId blob, uint64_t block, uint64_t offset, MutSpan out);
  // What is to be copied, so that damage is not summed as if it were right.
  Task<Status> VerifyRange(BlobId blob, ByteRange range);

  // --- Summing: summing.cc
  static bool IsSummed(const Mine& mine, uint64_t region);
  Task<void> Settle(BlobId blob, MineRef mine);
  std::vector<uint64_t> QuietRegions(const Mine& mine);
  Task<Status> SumQuiet(BlobId blob, MineRef mine, std::vector<uint64_t> quiet);
  Task<Status> SumAndPublish(BlobId blob, MineRef mine, Summing* summing);
  // kCancelled if `*stop` has become true.
  Task<Result<SumPage>> SumRegion(BlobId blob, uint64_t region, const bool* stop);
  Task<Status> Publish(BlobId blob, uint64_t region, SumPage page);
  void Enqueue(const BlobId& blob);
  Task<void> EnqueueAll();
  Task<void> SumUnheld();
  // From `*next` on, which it moves. True: there is nothing more to do for it.
  Task<bool> SumSlice(BlobId blob, uint64_t* next);
  // Nobody writes to it, and nothing that a dead process has submitted is under way; so it stays
  // while its sums are held.
  Task<bool> IsStill(BlobId blob);
  Task<Result<bool>> SumDirtyRegions(BlobId blob, uint64_t* next);
  // Those with data, of some from `first` on; `*end`: how far it has looked.
  Task<Result<std::set<uint64_t>>> RegionsWithData(BlobId blob, uint64_t first, uint64_t* end);

  Env& env_;
  const ChecksumOptions options_;
  StoreInfo info_;
  std::map<BlobId, MineRef> mine_;
  std::set<BlobId> adopting_;
  std::map<PageKey, PageRef> cache_;
  std::deque<PageKey> cached_;  // In the order in which they came.
  // Of blobs that nobody holds: those to be summed, the one that is, those that are.
  std::deque<BlobId> unheld_;
  std::optional<BlobId> at_work_;
  std::set<BlobId> complete_;
  uint32_t sweeps_ = 0;
  bool stop_work_ = false;
  Signal work_moved_;
  bool working_ = false;
  uint32_t listing_ = 0;  // Sweeps that look for blobs to be summed.
  bool closing_ = false;
  uint64_t verified_ = 0;
  TaskGroup background_;
};

}  // namespace atl
