// SPDX-License-Identifier: Apache-2.0
#include "peers/store/memory/sparse_space.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace atl {
namespace {

template <typename Buffer>
void CopyUnit(std::unique_ptr<Buffer>& to, const std::unique_ptr<Buffer>& from, size_t at,
              size_t length) {
  if (!to && !from) return;
  if (!to) to = std::make_unique<Buffer>();
  if (from) {
    std::memcpy(to->data() + at, from->data() + at, length);
  } else {
    std::memset(to->data() + at, 0, length);
  }
}

// Calls `visit(page index, range within the page, offset of that range in the whole)`.
template <typename Visit>
void ForEachPage(ByteRange range, uint64_t page, Visit visit) {
  for (uint64_t done = 0; done < range.length;) {
    const uint64_t at = range.offset + done;
    const uint64_t length = std::min(page - at % page, range.length - done);
    visit(at / page, ByteRange{at % page, length}, done);
    done += length;
  }
}

}  // namespace

bool SpaceBudget::Take(uint64_t bytes, Purpose purpose) {
  const uint64_t top = purpose == Purpose::kMetadata ? limit : limit - std::min(reserve, limit);
  if (used > top || bytes > top - used) return false;
  used += bytes;
  return true;
}

SparseSpace::~SparseSpace() {
  if (budget_) budget_->Give(used_bytes());
}

void SparseSpace::Read(uint64_t offset, MutSpan out) const {
  ForEachPage({offset, out.size()}, kPage, [&](uint64_t index, ByteRange part, uint64_t done) {
    const auto at = pages_.find(index);
    if (at == pages_.end() || !at->second.now) {
      std::memset(out.data() + done, 0, part.length);
    } else {
      std::memcpy(out.data() + done, at->second.now->data() + part.offset, part.length);
    }
  });
}

uint64_t SparseSpace::MissingPages(ByteRange range) const {
  if (range.empty()) return 0;
  const uint64_t first = range.offset / kPage;
  const uint64_t last = (range.end() - 1) / kPage;
  uint64_t missing = last - first + 1;
  for (auto at = pages_.lower_bound(first); at != pages_.end() && at->first <= last; ++at) {
    if (at->second.takes_space()) --missing;
  }
  return missing;
}

bool SparseSpace::TakePages(uint64_t count) {
  if (budget_ && !budget_->Take(count * kPage, SpaceBudget::Purpose::kData)) return false;
  used_pages_ += count;
  return true;
}

void SparseSpace::Touch(Page& page, ByteRange part) {
  if (!random_) return;
  const uint64_t first = part.offset / kUnit;
  const uint64_t last = (part.end() - 1) / kUnit;
  const auto units = static_cast<uint8_t>(((1u << (last - first + 1)) - 1) << first);
  // By chance the disk has seen what is overwritten now.
  if ((page.dirty & units) != 0 && (*random_)() % 4 == 0) {
    const uint8_t seen = page.dirty & units;
    for (uint64_t unit = 0; unit < kUnits; ++unit) {
      if (seen >> unit & 1) CopyUnit(page.before, page.now, unit * kUnit, kUnit);
    }
  }
  const uint8_t fresh = units & ~page.dirty;
  for (uint64_t unit = 0; unit < kUnits; ++unit) {
    if (fresh >> unit & 1) CopyUnit(page.before, page.now, unit * kUnit, kUnit);
  }
  page.dirty |= units;
}

bool SparseSpace::Write(uint64_t offset, ConstSpan data) {
  if (!TakePages(MissingPages({offset, data.size()}))) return false;
  ForEachPage({offset, data.size()}, kPage, [&](uint64_t index, ByteRange part, uint64_t done) {
    Page& page = pages_[index];
    Touch(page, part);
    if (!page.now) page.now = std::make_unique<Buffer>();
    std::memcpy(page.now->data() + part.offset, data.data() + done, part.length);
  });
  return true;
}

bool SparseSpace::ZeroAllocated(ByteRange range) {
  if (!TakePages(MissingPages(range))) return false;
  ForEachPage(range, kPage, [&](uint64_t index, ByteRange part, uint64_t) {
    Page& page = pages_[index];
    page.kept = true;
    if (!page.now) return;
    Touch(page, part);
    if (part.length == kPage) {
      page.now.reset();
    } else {
      std::memset(page.now->data() + part.offset, 0, part.length);
    }
  });
  return true;
}

void SparseSpace::Punch(ByteRange range) {
  if (range.empty()) return;
  const uint64_t last = (range.end() - 1) / kPage;
  for (auto at = pages_.lower_bound(range.offset / kPage);
       at != pages_.end() && at->first <= last;) {
    Page& page = at->second;
    const ByteRange whole{at->first * kPage, kPage};
    const ByteRange hit = whole.Intersect(range);
    const ByteRange part{hit.offset - whole.offset, hit.length};
    if (page.now) Touch(page, part);
    if (part.length == kPage) {
      if (page.takes_space()) {
        --used_pages_;
        if (budget_) budget_->Give(kPage);
      }
      page.now.reset();
      page.kept = false;
    } else if (page.now) {
      std::memset(page.now->data() + part.offset, 0, part.length);
    }
    at = Settle(at);
  }
}

SparseSpace::Pages::iterator SparseSpace::Settle(Pages::iterator at) {
  if (at->second.takes_space() || at->second.dirty != 0) return ++at;
  return pages_.erase(at);
}

void SparseSpace::SyncUnits(Page& page, uint8_t units) {
  page.dirty &= ~units;
  if (page.dirty == 0) page.before.reset();
}

void SparseSpace::SyncRange(ByteRange range) {
  if (!random_ || range.empty()) return;
  const uint64_t last = (range.end() - 1) / kPage;
  for (auto at = pages_.lower_bound(range.offset / kPage);
       at != pages_.end() && at->first <= last;) {
    const ByteRange whole{at->first * kPage, kPage};
    uint8_t units = 0;
    for (uint64_t unit = 0; unit < kUnits; ++unit) {
      if (range.Overlaps({whole.offset + unit * kUnit, kUnit})) units |= 1u << unit;
    }
    SyncUnits(at->second, units);
    at = Settle(at);
  }
}

void SparseSpace::LosePage(Page& page) {
  const bool took_space = page.takes_space();
  const bool could_be_hole = !page.now || !page.before;
  for (uint64_t unit = 0; unit < kUnits; ++unit) {
    const bool lost = (page.dirty >> unit & 1) && (*random_)() % 2 == 0;
    if (lost) CopyUnit(page.now, page.before, unit * kUnit, kUnit);
  }
  if (page.now && could_be_hole && IsAllZero(*page.now)) page.now.reset();
  page.before.reset();
  page.dirty = 0;
  // A loss may bring back a page that was punched; the budget lets that pass.
  const int64_t change = int64_t{page.takes_space()} - int64_t{took_space};
  used_pages_ += change;
  if (budget_) budget_->used += change * static_cast<int64_t>(kPage);
}

void SparseSpace::PowerLoss() {
  for (auto at = pages_.begin(); at != pages_.end();) {
    if (at->second.dirty != 0) LosePage(at->second);
    at = Settle(at);
  }
}

std::vector<BlobExtent> SparseSpace::Extents(ByteRange range) const {
  std::vector<BlobExtent> extents;
  const auto add = [&](uint64_t end, ExtentKind kind) {
    const uint64_t from = extents.empty() ? range.offset : extents.back().range.end();
    if (end <= from) return;
    if (!extents.empty() && extents.back().kind == kind) {
      extents.back().range.length += end - from;
    } else {
      extents.push_back({{from, end - from}, kind});
    }
  };
  for (auto at = pages_.lower_bound(range.offset / kPage);
       at != pages_.end() && at->first * kPage < range.end(); ++at) {
    if (!at->second.takes_space()) continue;
    add(at->first * kPage, ExtentKind::kHole);
    add(std::min(at->first * kPage + kPage, range.end()),
        at->second.now ? ExtentKind::kData : ExtentKind::kZero);
  }
  add(range.end(), ExtentKind::kHole);
  return extents;
}

}  // namespace atl
