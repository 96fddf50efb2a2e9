// SPDX-License-Identifier: Apache-2.0
#include "peers/store/checksum/checksum_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "peers/store/limits.h"

namespace atl {
namespace {

// Sums are given back soon by whoever holds them without the blob, if his store answers.
constexpr int64_t kSumsPatience = 30 * kSecond;
// Regions of one change that are looked at one by one.
constexpr uint64_t kFewRegions = 64;
// More than that are made dirty all at once.
constexpr size_t kRegionsOneByOne = 8;
constexpr uint32_t kSweepsOfComplete = 16;
constexpr int kTries = 3;
constexpr uint64_t kVerifyPiece = 256 * kKiB;

uint64_t FirstRegion(ByteRange range) { return range.offset / kSumRegion; }
uint64_t EndRegion(ByteRange range) { return (range.end() + kSumRegion - 1) / kSumRegion; }

bool IsChange(StoreOp op) {
  return op == StoreOp::kWrite || op == StoreOp::kZero || op == StoreOp::kPunch ||
         op == StoreOp::kCopy;
}

}  // namespace

ChecksumStore::ChecksumStore(Env& env, std::unique_ptr<Store> below, ChecksumOptions options)
    : ForwardingStore(std::move(below)),
      env_(env),
      options_(options),
      info_(ForwardingStore::info()) {
  info_.location += ", with checksums";
}

ChecksumStore::~ChecksumStore() = default;

Task<void> ChecksumStore::Close() {
  closing_ = stop_work_ = true;
  co_await background_.Join();
  mine_.clear();
  co_await ForwardingStore::Close();
}

ChecksumStore::MineRef ChecksumStore::Find(const BlobId& blob) const {
  const auto found = mine_.find(blob);
  return found == mine_.end() ? nullptr : found->second;
}

// --- Calls ---------------------------------------------------------------------------------------

Task<Status> ChecksumStore::Before(const StoreCall& call) {
  const auto* const blob = std::get_if<BlobId>(&call.target);
  if (blob == nullptr || HasNoSums(*blob)) co_return OkStatus();
  if (call.op == StoreOp::kAdopt) co_await BeginAdopt(*blob);
  if (call.op == StoreOp::kRemove) co_await LetGo(*blob);  // A removal takes it from its holder.
  if (call.op == StoreOp::kCopy) CO_RETURN_IF_ERROR(co_await VerifyRange(call.from, call.range));
  if (IsChange(call.op)) co_return co_await BeginChange(*blob, call.range);
  co_return OkStatus();
}

Task<Status> ChecksumStore::After(const StoreCall& call, Status outcome) {
  if (call.op == StoreOp::kSweep && outcome.ok() && !call.dry_run && !closing_) {
    // Others may have written to what was complete.
    if (++sweeps_ % kSweepsOfComplete == 0) complete_.clear();
    ++listing_;
    background_.Run(EnqueueAll());
  }
  const auto* const blob = std::get_if<BlobId>(&call.target);
  if (blob == nullptr || HasNoSums(*blob)) co_return outcome;
  if (IsChange(call.op)) EndChange(*blob, call.range);
  if (call.op == StoreOp::kAdopt) co_return co_await EndAdopt(*blob, call.wait_ns, outcome);
  // What is left of them if this fails is a blob that nobody knows, for a garbage collection.
  const bool gone = outcome.ok() || outcome.code() == Code::kNotFound;
  if (call.op == StoreOp::kRemove && gone) {
    complete_.erase(*blob);
    (void)co_await below().Remove(SumsOf(*blob));
  }
  co_return outcome;
}

Task<void> ChecksumStore::BeginAdopt(BlobId blob) {
  while (true) {
    const MineRef mine = Find(blob);
    if (adopting_.contains(blob)) {
      co_await work_moved_;
    } else if (at_work_ == blob) {
      stop_work_ = true;
      co_await work_moved_;
    } else if (mine && mine->leaving) {
      co_await mine->idle;
    } else {
      break;
    }
  }
  adopting_.insert(blob);
}

Task<Status> ChecksumStore::EndAdopt(BlobId blob, int64_t wait_ns, Status outcome) {
  if (outcome.ok() && !mine_.contains(blob)) {
    std::erase(unheld_, blob);
    complete_.erase(blob);
    outcome = co_await below().Adopt(SumsOf(blob), std::max(wait_ns, kSumsPatience));
    // What a page says that is not durable yet may not be what it says after a power loss.
    if (outcome.ok()) outcome = co_await below().Sync(SumsOf(blob));
    // They were given up after a failed sync; that is not what this says of the blob itself.
    if (outcome.code() == Code::kFenced) outcome = {Code::kIo, std::string(outcome.message())};
    if (outcome.ok()) {
      DropCached(blob);
      mine_.emplace(blob, std::make_shared<Mine>());
    } else {
      co_await below().Disown(SumsOf(blob));  // They may be ours though that was not told.
      co_await below().Disown(blob);
    }
  }
  adopting_.erase(blob);
  work_moved_.NotifyAll();
  co_return outcome;
}

// The blob first, then its sums: until then nobody can write, and after that nobody here does.
Task<void> ChecksumStore::LetGo(BlobId blob) {
  std::erase(unheld_, blob);
  while (at_work_ == blob || adopting_.contains(blob)) {
    if (at_work_ == blob) stop_work_ = true;
    co_await work_moved_;
  }
  const MineRef mine = Find(blob);
  if (mine && mine->leaving) {
    while (Find(blob) == mine) co_await mine->idle;
  } else if (mine) {
    mine->leaving = true;
    for (Summing& summing : mine->summing) summing.disturbed = true;
    while (mine->active || !mine->changing.empty()) co_await mine->idle;
  }
  co_await below().Disown(blob);
  if (!mine || Find(blob) != mine) co_return;
  co_await below().Disown(SumsOf(blob));
  DropCached(blob);
  mine_.erase(blob);
  mine->idle.NotifyAll();
}

Task<void> ChecksumStore::Disown(const BlobId& blob_ref) {
  const BlobId blob = blob_ref;
  if (HasNoSums(blob)) co_return co_await ForwardingStore::Disown(blob);
  const bool was_mine = mine_.contains(blob);
  co_await LetGo(blob);
  if (was_mine && !closing_) Enqueue(blob);
}

Task<Result<Page<BlobId>>> ChecksumStore::ListBlobs(std::optional<BlobId> after, uint32_t limit) {
  CO_RETURN_IF_ERROR(CheckPage(limit));
  Page<BlobId> out{.items = {}, .last = false};
  while (!out.last && out.items.size() < limit) {
    const auto left = static_cast<uint32_t>(limit - out.items.size());
    CO_ASSIGN_OR_RETURN(const Page<BlobId> page, co_await ForwardingStore::ListBlobs(after, left));
    out.last = page.last;
    for (const BlobId& id : page.items) {
      after = id;
      if (IsOfSums(id)) {
        // Sums whose blob is gone are garbage, and whoever collects that has to see them.
        BlobId of = id;
        of.instance &= static_cast<uint16_t>(~kSumsInstance);
        const auto usage = co_await below().Usage(of);
        if (usage.code() != Code::kNotFound) continue;
      }
      out.items.push_back(id);
    }
    if (page.items.empty()) break;
  }
  co_return out;
}

// --- Changes -------------------------------------------------------------------------------------

Task<Result<std::vector<uint64_t>>> ChecksumStore::RegionsWithPages(BlobId blob, ByteRange range) {
  std::vector<uint64_t> regions;
  const uint64_t first = FirstRegion(range), end = EndRegion(range);
  if (end - first <= kFewRegions || below().info().capabilities.extents == Support::kNone) {
    for (uint64_t region = first; region < end; ++region) regions.push_back(region);
    co_return regions;
  }
  const ByteRange pages{first * kSumPageBytes, (end - first) * kSumPageBytes};
  CO_ASSIGN_OR_RETURN(const auto extents, co_await below().Extents(SumsOf(blob), pages));
  for (const BlobExtent& extent : extents) {
    if (extent.kind == ExtentKind::kHole) continue;
    const uint64_t last = (extent.range.end() + kSumPageBytes - 1) / kSumPageBytes;
    for (uint64_t at = extent.range.offset / kSumPageBytes; at < last; ++at) regions.push_back(at);
  }
  co_return regions;
}

Task<Status> ChecksumStore::BeginChange(BlobId blob, ByteRange range) {
  const MineRef mine = Find(blob);
  if (!mine || mine->leaving) {
    co_return Status(Code::kFenced, fmt::format("{}: blob {} is not adopted by this instance",
                                                below().info().name, blob.ToString()));
  }
  if (range.empty()) co_return OkStatus();
  mine->changing.push_back(range);
  // Their page may say something else in a moment.
  std::set<uint64_t> unsure;
  for (Summing& summing : mine->summing) {
    if (!RegionRange(summing.region).Overlaps(range)) continue;
    summing.disturbed = true;
    unsure.insert(summing.region);
  }
  for (const uint64_t region : mine->doubtful) {
    if (RegionRange(region).Overlaps(range)) unsure.insert(region);
  }
  auto regions = co_await RegionsWithPages(blob, range);
  Status status = regions.status();
  if (regions.ok()) {
    std::erase_if(*regions, [&](uint64_t region) {
      return mine->dirty.contains(region) && !unsure.contains(region);
    });
    unsure.insert(regions->begin(), regions->end());
    status = co_await MakeManyDirty(blob, mine, {unsure.begin(), unsure.end()});
  }
  if (status.ok()) {
    NoteChange(mine.get(), range);
  } else {
    EndChange(blob, range);
  }
  co_return status;
}

// What the change makes durable must not find sums of what was there before.
Task<Status> ChecksumStore::MakeManyDirty(BlobId blob, MineRef mine,
                                          std::vector<uint64_t> regions) {
  if (regions.size() <= kRegionsOneByOne) {
    for (const uint64_t region : regions) {
      CO_RETURN_IF_ERROR(co_await MakeDirty(blob, mine, region));
    }
    co_return OkStatus();
  }
  const auto guard = co_await mine->publishing.Lock();
  const ByteRange pages{regions.front() * kSumPageBytes,
                        (regions.back() - regions.front() + 1) * kSumPageBytes};
  ++mine->pages_changed;
  mine->doubtful.insert(regions.begin(), regions.end());
  Status status = co_await below().Punch(SumsOf(blob), pages);
  if (status.ok()) status = co_await below().Sync(SumsOf(blob));
  ++mine->pages_changed;
  DropCached(blob);
  CO_RETURN_IF_ERROR(status);
  for (const uint64_t region : regions) {
    mine->doubtful.erase(region);
    mine->dirty[region] = {.changed_ns = env_.BootNs()};
  }
  co_return OkStatus();
}

Task<Status> ChecksumStore::MakeDirty(BlobId blob, MineRef mine, uint64_t region) {
  const auto guard = co_await mine->publishing.Lock();
  if (mine->dirty.contains(region)) co_return OkStatus();
  CO_ASSIGN_OR_RETURN(const PageRef page, co_await LoadPage(blob, region));
  if (page || mine->doubtful.contains(region)) {
    // If this fails the page may say dirty, and still not be durable.
    mine->doubtful.insert(region);
    CO_RETURN_IF_ERROR(co_await Publish(blob, region, SumPage{}));
    mine->doubtful.erase(region);
  }
  mine->dirty[region] = {.changed_ns = env_.BootNs(), .before = page};
  co_return OkStatus();
}

void ChecksumStore::NoteChange(Mine* mine, ByteRange range) {
  auto dirty = mine->dirty.lower_bound(FirstRegion(range));
  for (; dirty != mine->dirty.end() && dirty->first < EndRegion(range); ++dirty) {
    dirty->second.changed_ns = env_.BootNs();
    const ByteRange part = RegionRange(dirty->first).Intersect(range);
    const uint64_t end = (part.end() + kSumBlock - 1) / kSumBlock;
    for (uint64_t block = part.offset / kSumBlock; block < end; ++block) {
      dirty->second.changed.set(block - dirty->first * kSumsOfPage);
    }
  }
}

void ChecksumStore::EndChange(const BlobId& blob, ByteRange range) {
  const MineRef mine = Find(blob);
  if (!mine) return;
  const auto found = std::ranges::find(mine->changing, range);
  if (found != mine->changing.end()) mine->changing.erase(found);
  NoteChange(mine.get(), range);
  if (mine->changing.empty()) mine->idle.NotifyAll();
  if (!mine->settling && !mine->dirty.empty() && !closing_ && !mine->leaving) {
    mine->settling = true;
    background_.Run(Settle(blob, mine));
  }
}

// --- Pages ---------------------------------------------------------------------------------------

Task<ChecksumStore::PageRef> ChecksumStore::PageOf(BlobId blob, uint64_t region, bool anew) {
  const auto page = co_await LoadPage(blob, region, anew);
  co_return page.ok() ? *page : nullptr;
}

Task<Result<ChecksumStore::PageRef>> ChecksumStore::LoadPage(BlobId blob, uint64_t region,
                                                             bool anew) {
  const MineRef mine = Find(blob);
  if (mine && mine->dirty.contains(region)) co_return PageRef();
  const auto cached = cache_.find({blob, region});
  if (cached != cache_.end() && !anew) co_return cached->second;
  while (true) {
    const uint64_t changed = mine ? mine->pages_changed : 0;
    Bytes bytes(kSumPageBytes);
    const Status status = co_await below().Read(SumsOf(blob), region * kSumPageBytes, bytes);
    if (Find(blob) != mine) co_return PageRef();  // Whose it was is no more.
    if (mine && mine->pages_changed != changed) continue;
    if (!status.ok() && status.code() != Code::kNotFound) co_return status;
    std::optional<SumPage> page;
    if (status.ok()) page = DecodeSumPage(bytes, options_.generation, blob, region);
    PageRef found;
    if (page && page->clean) found = std::make_shared<const SumPage>(*page);
    // Of a blob that is not ours a dirty page may be clean the next time.
    if (found || mine) Cache(blob, region, found);
    co_return found;
  }
}

void ChecksumStore::Cache(const BlobId& blob, uint64_t region, PageRef page) {
  const PageKey key{blob, region};
  if (cache_.insert_or_assign(key, std::move(page)).second) cached_.push_back(key);
  while (cached_.size() > options_.max_cached_pages) {
    cache_.erase(cached_.front());
    cached_.pop_front();
  }
}

void ChecksumStore::DropCached(const BlobId& blob) {
  std::erase_if(cached_, [&](const PageKey& key) { return key.first == blob; });
  std::erase_if(cache_, [&](const auto& entry) { return entry.first.first == blob; });
}

// --- Reading -------------------------------------------------------------------------------------

Task<Status> ChecksumStore::Read(const BlobId& blob_ref, uint64_t offset, MutSpan out) {
  const BlobId blob = blob_ref;
  CO_RETURN_IF_ERROR(co_await ForwardingStore::Read(blob, offset, out));
  if (HasNoSums(blob)) co_return OkStatus();
  co_return co_await Verify(blob, offset, out);
}

Task<Status> ChecksumStore::Verify(BlobId blob, uint64_t offset, MutSpan out) {
  const ByteRange range{offset, out.size()};
  for (uint64_t region = FirstRegion(range); region < EndRegion(range); ++region) {
    const PageRef page = co_await PageOf(blob, region);
    if (!page) continue;
    const ByteRange part = RegionRange(region).Intersect(range);
    const uint64_t end = (part.end() + kSumBlock - 1) / kSumBlock;
    for (uint64_t block = part.offset / kSumBlock; block < end; ++block) {
      const uint32_t sum = page->sums[block - region * kSumsOfPage];
      if (sum == 0) continue;
      const ByteRange bytes{block * kSumBlock, kSumBlock};
      const bool whole = bytes.offset >= range.offset && bytes.end() <= range.end();
      if (whole &&
          SumOfBlock(blob, block, out.subspan(bytes.offset - range.offset, kSumBlock)) == sum) {
        ++verified_;
        continue;
      }
      CO_RETURN_IF_ERROR(co_await VerifyBlock(blob, block, offset, out));
    }
  }
  co_return OkStatus();
}

// One that was read in part, or is not as its sum says: it may have been changed meanwhile, here
// by whoever has the buffer, or in the store.
Task<Status> ChecksumStore::VerifyBlock(BlobId blob, uint64_t block, uint64_t offset, MutSpan out) {
  Bytes bytes(kSumBlock);
  const uint64_t region = block / kSumsOfPage;
  for (int i = 0; i < kTries; ++i) {
    CO_RETURN_IF_ERROR(co_await below().Read(blob, block * kSumBlock, bytes));
    CO_ASSIGN_OR_RETURN(const PageRef page, co_await LoadPage(blob, region, i > 0));
    const uint32_t sum = page ? page->sums[block - region * kSumsOfPage] : 0;
    if (sum != 0 && SumOfBlock(blob, block, bytes) != sum) continue;
    if (sum != 0) ++verified_;
    const ByteRange part = ByteRange{block * kSumBlock, kSumBlock}.Intersect({offset, out.size()});
    std::memcpy(out.data() + (part.offset - offset),
                bytes.data() + (part.offset - block * kSumBlock), part.length);
    co_return OkStatus();
  }
  co_return Status(Code::kCorrupt,
                   fmt::format("{}: blob {}: the bytes from {} to {} are not what was written",
                               below().info().name, blob.ToString(), block * kSumBlock,
                               (block + 1) * kSumBlock));
}

Task<Status> ChecksumStore::VerifyRange(BlobId blob, ByteRange range) {
  auto extents = co_await below().Extents(blob, range);
  if (!extents.ok()) co_return OkStatus();  // The copy itself will tell.
  Bytes bytes(kVerifyPiece);
  for (const BlobExtent& extent : *extents) {
    if (extent.kind != ExtentKind::kData) continue;
    for (uint64_t at = extent.range.offset; at < extent.range.end(); at += kVerifyPiece) {
      const uint64_t count = std::min(kVerifyPiece, extent.range.end() - at);
      CO_RETURN_IF_ERROR(co_await Read(blob, at, MutSpan(bytes).first(count)));
    }
  }
  co_return OkStatus();
}

}  // namespace atl
