// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <bit>

#include "peers/store/file/blob_dir.h"
#include "xseg/base/fd.h"
#include "xseg/base/guarded_copy.h"

namespace atl {
namespace {

// Less is not worth a mapping of its own each time the file has grown.
constexpr uint64_t kLeastMapping = kGiB;

// Its own clock is a tick behind, and costs a tenth.
int64_t CoarseMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

FileView::FileView(MutSpan mapping, ViewBudget* budget) : mapping_(mapping), budget_(budget) {
  budget_->mapped += mapping_.size();
}

std::unique_ptr<FileView> FileView::Make(int fd, ViewBudget* budget, sys::Site site) {
  struct stat info;
  if (sys::Fstat(fd, &info, site) != 0) return nullptr;
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  const Fd own(sys::Open(path.c_str(), O_RDONLY | O_CLOEXEC, site));
  if (!own.valid()) return nullptr;
  // Beyond the end of the file nothing is resident; room to grow costs addresses only.
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t length = std::clamp(std::bit_ceil(size), kLeastMapping, kBlobFileBytes);
  if (budget->is_spent() || budget->mapped + length > ViewBudget::kMostMapped) return nullptr;
  void* memory = sys::Map(own.get(), length, site);
  if (memory == MAP_FAILED) return nullptr;
  return std::unique_ptr<FileView>(new FileView({static_cast<std::byte*>(memory), length}, budget));
}

FileView::~FileView() {
  munmap(mapping_.data(), mapping_.size());
  budget_->mapped -= mapping_.size();
  budget_->regions -= regions_.size();
}

bool FileView::LetGoOfSome() {
  constexpr int kRegionsAtOnce = 16;
  for (int i = 0; i < kRegionsAtOnce && !regions_.empty(); ++i) {
    const auto region = regions_.begin();
    (void)madvise(mapping_.data() + region->first * kRegion, kRegion, MADV_DONTNEED);
    regions_.erase(region);
    --budget_->regions;
  }
  return !regions_.empty();
}

bool FileView::Look(uint64_t index, Region* region) const {
  unsigned char pages[kPagesOfRegion];
  if (sys::Resident(mapping_.data() + index * kRegion, kRegion, pages) != 0) return false;
  region->looked_ms = CoarseMs();
  for (size_t page = 0; page < kPagesOfRegion; ++page) region->resident[page] = pages[page] & 1;
  return true;
}

bool FileView::IsTrusted(const Region& region) const {
  if (region.looked_ms == 0) return false;
  const int64_t now_ms = CoarseMs(), age_ms = now_ms - region.looked_ms;
  if (age_ms < kTrustMs) return true;
  return age_ms < kMostTrustMs && budget_->watch.HasKept(region.looked_ms, now_ms);
}

FileView::Region* FileView::Find(uint64_t index) {
  const auto [found, is_new] = regions_.try_emplace(index);
  if (is_new) ++budget_->regions;
  Region* region = &found->second;
  if (IsTrusted(*region)) return region;
  return Look(index, region) ? region : nullptr;
}

template <typename F>
bool FileView::EachPage(uint64_t offset, size_t length, F visit) {
  if (!Covers(offset, length)) return false;
  const uint64_t end = (offset + length + kPage - 1) / kPage;
  for (uint64_t page = offset / kPage; page < end;) {
    Region* region = Find(page / kPagesOfRegion);
    if (region == nullptr) return false;
    do {
      if (!visit(region->resident, page % kPagesOfRegion)) return false;
    } while (++page < end && page % kPagesOfRegion != 0);
  }
  return true;
}

// As a whole once at least, or as much of it.
bool FileView::IsReadAgain(uint64_t offset, size_t length) {
  bool again = Covers(offset, length);
  const uint64_t end = offset + length;
  for (uint64_t at = offset; at < end && Covers(offset, length);) {
    Region* region = Find(at / kRegion);
    if (region == nullptr) return false;
    const uint64_t next = std::min(end, (at / kRegion + 1) * kRegion);
    if (region->long_bytes < kRegion) {
      region->long_bytes += static_cast<uint32_t>(next - at);
      again = false;
    }
    at = next;
  }
  return again;
}

ConstSpan FileView::Get(uint64_t offset, size_t length) {
  if (length > kShort && !IsReadAgain(offset, length)) return {};
  const auto is_there = [](const auto& resident, uint64_t page) { return resident[page]; };
  if (!EachPage(offset, length, is_there)) return {};
  return mapping_.subspan(offset, length);
}

bool FileView::Copy(uint64_t offset, MutSpan out) {
  const ConstSpan bytes = Get(offset, out.size());
  return !bytes.empty() && CopyGuarded(out, bytes);
}

void FileView::NoteResident(uint64_t offset, size_t length) {
  const auto note = [](auto& resident, uint64_t page) {
    resident.set(page);
    return true;
  };
  (void)EachPage(offset, length, note);
}

}  // namespace atl
