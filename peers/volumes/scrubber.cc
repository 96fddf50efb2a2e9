// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/scrubber.h"

#include <fmt/format.h>

#include <algorithm>

#include "peers/volumes/reach.h"

namespace atl {
namespace {

constexpr uint64_t kReadPiece = 256 * kKiB;
// A part of a blob of which the extents are asked for at once; smaller where there are many.
constexpr uint64_t kFirstPart = 1 * kGiB;
constexpr uint64_t kSmallestPart = 16 * kMiB;
constexpr uint64_t kLargestPart = 1 * kTiB;
constexpr uint64_t kManyExtents = 1'000;

}  // namespace

Status Scrubber::Start(std::optional<Located> only, uint64_t rate) {
  if (status_.state == ScrubState::kRunning) {
    return {Code::kBusy,
            "a scrub is running; see 'atoll scrub --status', or end it with 'atoll "
            "scrub --cancel'"};
  }
  if (rate < kMinScrubRate) {
    return {Code::kInvalid, fmt::format("a scrub reads at least {} bytes a second", kMinScrubRate)};
  }
  status_ = {.state = ScrubState::kRunning, .rate = rate, .started_ns = env_->WallNs()};
  if (only) status_.resource = only->header.header.name;
  pace_ = std::make_unique<Pace>(env_, rate);
  checker_ = std::make_unique<Checker>(env_, stores_, identity_, pace_.get());
  targets_.clear();
  vanished_.clear();
  work_.Run(Run(std::move(only)));
  return {};
}

void Scrubber::Cancel() {
  if (status_.state == ScrubState::kRunning) pace_->Cancel();
}

Task<void> Scrubber::Stop() {
  Cancel();
  co_await work_.Join();
}

ScrubStatus Scrubber::GetStatus() const {
  ScrubStatus status = status_;
  if (checker_) status.report = checker_->Report();
  return status;
}

Task<void> Scrubber::Run(std::optional<Located> only) {
  co_await Yield{};  // Whoever starts it is answered first.
  co_await FindTargets(only);
  co_await CheckMetadata(only);
  for (const auto& [blob, target] : targets_) {
    if (!pace_->cancelled()) co_await ReadBlob(blob, target);
  }
  if (!pace_->cancelled()) co_await JudgeVanished();
  status_.state = pace_->cancelled() ? ScrubState::kCancelled : ScrubState::kDone;
  status_.ended_ns = env_->WallNs();
}

Task<void> Scrubber::CheckMetadata(const std::optional<Located>& only) {
  if (only) {
    co_await checker_->CheckOne(only->slot, only->header.header.uuid);
  } else {
    co_await checker_->CheckAll();
  }
}

// --- What there is -------------------------------------------------------------------------------

Task<void> Scrubber::FindTargets(const std::optional<Located>& only) {
  if (only) {
    co_await AddTargets(only->header.header);
  } else {
    for (size_t i = 0; i < stores_->size(); ++i) {
      std::map<Uuid, Status> damaged;
      Store& store = stores_->at(static_cast<StoreSlot>(i));
      const auto headers = co_await ReadAllHeaders(&store, ReadFor::kLook, &damaged);
      if (!headers.ok()) continue;
      for (const VersionedHeader& header : *headers) {
        if (header.header.state == HeaderState::kLive) co_await AddTargets(header.header);
      }
    }
  }
  for (auto& [blob, target] : targets_) {
    const auto slot = stores_->Find(target.store);
    if (!slot.ok() || pace_->cancelled()) continue;
    const auto usage = co_await stores_->at(*slot).Usage(blob);
    if (usage.ok()) target.usage = *usage;
    status_.total_bytes += target.usage;
  }
}

Task<void> Scrubber::AddTargets(Header header) {
  const auto sources = co_await SourcesOf(stores_, header);
  if (!sources.ok() || pace_->cancelled()) co_return;
  for (const Source& source : *sources) {
    // Nobody has written to it yet.
    if (!header.begun && source.blob() == header.blob()) continue;
    Target& target = targets_[source.blob()];
    target.store = source.store;
    target.bytes = std::max(target.bytes, AlignUp(header.size, kSubGrain));
  }
}

// --- Reading -------------------------------------------------------------------------------------

void Scrubber::Wrong(const std::string& store, const BlobId& blob, const std::string& what) {
  Findings findings(store, blob.owner.ToString());
  findings.Error(fmt::format("data of blob {}: {}", blob.ToString(), what));
  checker_->Add(std::move(findings));
}

Task<void> Scrubber::ReadBlob(BlobId blob, Target target) {
  const auto slot = stores_->Find(target.store);
  if (!slot.ok()) co_return;
  Store& store = stores_->at(*slot);
  const uint64_t before = status_.done_bytes;
  uint64_t step = kFirstPart;
  for (uint64_t at = 0; at < target.bytes && !pace_->cancelled();) {
    const ByteRange part{at, std::min(step, target.bytes - at)};
    uint64_t extents = 0;
    if (!co_await ReadPart(&store, blob, part, &extents)) break;
    at = part.end();
    step = extents > kManyExtents ? std::max(step / 2, kSmallestPart)
                                  : std::min(step * 2, kLargestPart);
  }
  // It may have grown or shrunk meanwhile; what is told in the end adds up.
  if (!pace_->cancelled()) status_.done_bytes = before + target.usage;
}

Task<bool> Scrubber::ReadPart(Store* store, BlobId blob, ByteRange part, uint64_t* extents) {
  const auto found = co_await store->Extents(blob, part);
  if (found.code() == Code::kNotFound) {
    vanished_.insert(blob);
    co_return false;
  }
  if (!found.ok()) {
    Wrong(store->info().name, blob, found.status().ToString());
    co_return false;
  }
  *extents = found->size();
  for (const BlobExtent& extent : *found) {
    if (extent.kind == ExtentKind::kData) co_await ReadData(store, blob, extent.range);
    co_await pace_->Spend(0);
    if (pace_->cancelled()) co_return false;
  }
  co_return true;
}

// Where a piece cannot be read the others are read all the same.
Task<void> Scrubber::ReadData(Store* store, BlobId blob, ByteRange data) {
  uint64_t bad_bytes = 0, bad_at = 0;
  Status status;
  for (uint64_t at = data.offset; at < data.end() && !pace_->cancelled();) {
    const uint64_t count = std::min(kReadPiece, data.end() - at);
    Buffer buffer = co_await buffers_->Get(count);
    const Status read = co_await store->Read(blob, at, buffer.span());
    buffer.Release();
    if (read.code() == Code::kNotFound) {
      vanished_.insert(blob);
      co_return;
    }
    if (!read.ok()) {
      if (bad_bytes == 0) bad_at = at;
      bad_bytes += count;
      status = read;
    }
    status_.done_bytes = std::min(status_.done_bytes + count, status_.total_bytes);
    at += count;
    co_await pace_->Spend(count);
  }
  if (status.ok()) co_return;
  Wrong(
      store->info().name, blob,
      fmt::format("{} bytes from {} on cannot be read: {}", bad_bytes, bad_at, status.ToString()));
}

// A resource that was removed meanwhile has taken its blobs along.
Task<void> Scrubber::JudgeVanished() {
  if (vanished_.empty()) co_return;
  Reach reach;
  for (size_t i = 0; i < stores_->size(); ++i) {
    std::map<Uuid, Status> damaged;
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    const auto headers = co_await ReadAllHeaders(&store, ReadFor::kLook, &damaged);
    if (!headers.ok()) continue;
    for (const VersionedHeader& header : *headers) {
      (void)co_await AddReachOf(stores_, header.header, &reach);
    }
  }
  for (const BlobId& blob : vanished_) {
    if (!reach.blobs.contains(blob)) continue;
    const auto slot = stores_->Find(targets_[blob].store);
    Wrong(slot.ok() ? stores_->at(*slot).info().name : "", blob, "it is gone");
  }
}

}  // namespace atl
