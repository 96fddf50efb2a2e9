// SPDX-License-Identifier: Apache-2.0
//
// How regions become clean.
#include <algorithm>

#include "peers/store/checksum/checksum_store.h"

namespace atl {
namespace {

constexpr int64_t kNap = 250 * kMillisecond;
// Of a blob that nobody holds the sums are held for so long at most: its next holder waits for it.
constexpr int64_t kSlice = 500 * kMillisecond;
constexpr int64_t kBetweenSlices = 10 * kMillisecond;
constexpr size_t kRegionsAtOnce = 64;
constexpr uint64_t kPiece = 256 * kKiB;
constexpr uint32_t kListPage = 1000;
constexpr uint64_t kWindow = 1024;  // Regions.

}  // namespace

bool ChecksumStore::IsSummed(const Mine& mine, uint64_t region) {
  return std::ranges::any_of(mine.summing,
                             [&](const Summing& summing) { return summing.region == region; });
}

bool ChecksumStore::is_settled() const {
  return !working_ && listing_ == 0 && std::ranges::all_of(mine_, [](const auto& entry) {
    return entry.second->dirty.empty() && !entry.second->settling;
  });
}

// --- Of what this instance writes ----------------------------------------------------------------

Task<void> ChecksumStore::Settle(BlobId blob, MineRef mine) {
  while (!mine->leaving && !closing_ && !mine->dirty.empty()) {
    co_await env_.Sleep(std::min(options_.quiet_ns, kNap));
    std::vector<uint64_t> quiet = QuietRegions(*mine);
    if (quiet.empty() || mine->leaving || closing_) continue;
    mine->active = true;
    const Status status = co_await SumQuiet(blob, mine, std::move(quiet));
    mine->active = false;
    mine->idle.NotifyAll();
    if (!status.ok() && status.code() != Code::kCancelled) break;  // Until the next change.
  }
  mine->settling = false;
}

std::vector<uint64_t> ChecksumStore::QuietRegions(const Mine& mine) {
  std::vector<uint64_t> quiet;
  const int64_t before_ns = env_.BootNs() - options_.quiet_ns;
  for (const auto& [region, dirty] : mine.dirty) {
    const ByteRange range = RegionRange(region);
    const bool changing = std::ranges::any_of(
        mine.changing, [&](const ByteRange& change) { return change.Overlaps(range); });
    if (!changing && dirty.changed_ns <= before_ns) quiet.push_back(region);
    if (quiet.size() == kRegionsAtOnce) break;
  }
  return quiet;
}

// A sum is made of bytes that are durable: a change since would have disturbed its summing.
Task<Status> ChecksumStore::SumQuiet(BlobId blob, MineRef mine, std::vector<uint64_t> quiet) {
  for (const uint64_t region : quiet) mine->summing.push_back({.region = region});
  Status status = co_await below().Sync(blob);
  while (!mine->summing.empty()) {
    Summing* const summing = &mine->summing.front();
    if (status.ok() && !mine->leaving && !closing_) {
      status = co_await SumAndPublish(blob, mine, summing);
      // One that cannot be read, or was changed, keeps nobody else from being summed.
      const auto dirty = mine->dirty.find(summing->region);
      if (!status.ok() && dirty != mine->dirty.end()) dirty->second.changed_ns = env_.BootNs();
      if (dirty != mine->dirty.end()) status = OkStatus();
    }
    mine->summing.pop_front();
  }
  co_return status;
}

Task<Status> ChecksumStore::SumAndPublish(BlobId blob, MineRef mine, Summing* summing) {
  CO_ASSIGN_OR_RETURN(SumPage page, co_await SumRegion(blob, summing->region, &summing->disturbed));
  const auto guard = co_await mine->publishing.Lock();
  if (summing->disturbed) co_return Status(Code::kCancelled, "it was changed");
  // Where there is nothing there is nothing to be remembered.
  const bool is_empty = std::ranges::all_of(page.sums, [](uint32_t sum) { return sum == 0; });
  const auto dirty = mine->dirty.extract(summing->region);
  if (!dirty || is_empty) co_return OkStatus();
  for (size_t i = 0; dirty.mapped().before && i < kSumsOfPage; ++i) {
    const uint32_t before = dirty.mapped().before->sums[i];
    if (before != 0 && !dirty.mapped().changed.test(i)) page.sums[i] = before;
  }
  const Status status = co_await Publish(blob, summing->region, std::move(page));
  if (!status.ok()) mine->doubtful.insert(summing->region);
  co_return status;
}

Task<Result<SumPage>> ChecksumStore::SumRegion(BlobId blob, uint64_t region, const bool* stop) {
  const ByteRange range = RegionRange(region);
  CO_ASSIGN_OR_RETURN(const auto extents, co_await below().Extents(blob, range));
  SumPage page{.clean = true};
  Bytes bytes(kPiece);
  for (const BlobExtent& extent : extents) {
    if (extent.kind != ExtentKind::kData) continue;
    const uint64_t end = AlignUp(extent.range.end(), kSumBlock);
    for (uint64_t at = extent.range.offset / kSumBlock * kSumBlock; at < end; at += kPiece) {
      if (*stop || closing_) co_return Status(Code::kCancelled, "it was stopped");
      const MutSpan piece = MutSpan(bytes).first(std::min(kPiece, end - at));
      CO_RETURN_IF_ERROR(co_await below().Read(blob, at, piece));
      for (uint64_t done = 0; done < piece.size(); done += kSumBlock) {
        const uint64_t block = (at + done) / kSumBlock;
        page.sums[block - region * kSumsOfPage] =
            SumOfBlock(blob, block, piece.subspan(done, kSumBlock));
      }
    }
  }
  co_return page;
}

Task<Status> ChecksumStore::Publish(BlobId blob, uint64_t region, SumPage page) {
  const MineRef mine = Find(blob);
  const Bytes bytes = EncodeSumPage(page, options_.generation, blob, region);
  if (mine) ++mine->pages_changed;
  const Status status =
      co_await below().Write(SumsOf(blob), region * kSumPageBytes, bytes, {.data_sync = true});
  if (mine) ++mine->pages_changed;
  if (!status.ok()) {
    // It may be there, or not: what is known of it is only in the store.
    cache_.erase({blob, region});
    std::erase(cached_, PageKey{blob, region});
    co_return status;
  }
  Cache(blob, region, page.clean ? std::make_shared<const SumPage>(page) : nullptr);
  co_return OkStatus();
}

// --- Of what nobody holds ------------------------------------------------------------------------

void ChecksumStore::Enqueue(const BlobId& blob) {
  const bool known = complete_.contains(blob) || at_work_ == blob ||
                     std::ranges::find(unheld_, blob) != unheld_.end();
  if (known || closing_) return;
  unheld_.push_back(blob);
  if (std::exchange(working_, true)) return;
  background_.Run(SumUnheld());
}

Task<void> ChecksumStore::EnqueueAll() {
  std::optional<BlobId> after;
  for (bool last = false; !last && !closing_;) {
    const auto page = co_await below().ListBlobs(after, kListPage);
    if (!page.ok()) break;
    for (const BlobId& blob : page->items) {
      if (!HasNoSums(blob) && !mine_.contains(blob)) Enqueue(blob);
    }
    last = page->last || page->items.empty();
    if (!last) after = page->items.back();
  }
  --listing_;
}

Task<void> ChecksumStore::SumUnheld() {
  while (!unheld_.empty() && !closing_) {
    const BlobId blob = unheld_.front();
    unheld_.pop_front();
    // Where everything is called data there would be no end.
    const bool unknown = below().info().capabilities.extents == Support::kNone;
    if (unknown || mine_.contains(blob) || adopting_.contains(blob)) continue;
    at_work_ = blob;
    stop_work_ = false;
    uint64_t next = 0;
    while (!closing_ && !co_await SumSlice(blob, &next)) co_await env_.Sleep(kBetweenSlices);
    at_work_.reset();
    work_moved_.NotifyAll();
  }
  working_ = false;
}

Task<bool> ChecksumStore::SumSlice(BlobId blob, uint64_t* next) {
  if (stop_work_ || (co_await below().Usage(blob)).code() == Code::kNotFound) co_return true;
  // Who writes to the blob holds its sums.
  Result<bool> all = true;
  if (const Status ours = co_await below().Adopt(SumsOf(blob), 0); !ours.ok()) all = ours;
  if (all.ok() && !co_await IsStill(blob)) all = Status(Code::kBusy, "somebody has it");
  if (all.ok()) all = co_await SumDirtyRegions(blob, next);
  co_await below().Disown(SumsOf(blob));  // Also if it seems that they are not.
  if (all.ok() && *all) complete_.insert(blob);
  co_return !all.ok() || *all;
}

Task<bool> ChecksumStore::IsStill(BlobId blob) {
  const Status adopted = co_await below().Adopt(blob, 0);
  co_await below().Disown(blob);
  co_return adopted.ok();
}

Task<Result<std::set<uint64_t>>> ChecksumStore::RegionsWithData(BlobId blob, uint64_t first,
                                                                uint64_t* end) {
  // A window that grows where there is nothing.
  std::set<uint64_t> regions;
  uint64_t size = kWindow;
  for (*end = first; regions.empty() && *end * kSumRegion < kMaxVolumeSize && !stop_work_;
       size *= 4) {
    const uint64_t begin = *end * kSumRegion;
    const ByteRange window{begin, std::min(size * kSumRegion, kMaxVolumeSize - begin)};
    CO_ASSIGN_OR_RETURN(const auto extents, co_await below().Extents(blob, window));
    for (const BlobExtent& extent : extents) {
      if (extent.kind != ExtentKind::kData) continue;
      const uint64_t last = (extent.range.end() + kSumRegion - 1) / kSumRegion;
      for (uint64_t at = extent.range.offset / kSumRegion; at < last; ++at) regions.insert(at);
    }
    *end = (window.end() + kSumRegion - 1) / kSumRegion;
  }
  co_return regions;
}

// False: the time was over before the end. A region that cannot be read is left as it is.
Task<Result<bool>> ChecksumStore::SumDirtyRegions(BlobId blob, uint64_t* next) {
  const int64_t end_ns = env_.BootNs() + kSlice;
  bool synced = false;
  while (*next * kSumRegion < kMaxVolumeSize) {
    uint64_t end = 0;
    CO_ASSIGN_OR_RETURN(const auto regions, co_await RegionsWithData(blob, *next, &end));
    for (const uint64_t region : regions) {
      if (stop_work_ || closing_) co_return Status(Code::kCancelled, "somebody wants to write");
      if (env_.BootNs() > end_ns) co_return false;
      *next = region + 1;
      const auto page = co_await LoadPage(blob, region, true);
      if (!page.ok() || *page) continue;
      if (!std::exchange(synced, true)) CO_RETURN_IF_ERROR(co_await below().Sync(blob));
      auto sums = co_await SumRegion(blob, region, &stop_work_);
      if (sums.ok()) CO_RETURN_IF_ERROR(co_await Publish(blob, region, *std::move(sums)));
    }
    if (stop_work_) co_return Status(Code::kCancelled, "somebody wants to write");
    *next = std::max(*next, end);
  }
  co_return true;
}

}  // namespace atl
