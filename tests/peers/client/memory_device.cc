// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/client/memory_device.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace atl {
namespace {

// Calls f(page index, offset in the page, bytes before it, length) for each page of the range.
template <typename F>
void ForEachPage(ByteRange range, F f) {
  for (uint64_t at = range.offset; at < range.end();) {
    const uint64_t inside = at % kSubGrain;
    const uint64_t length = std::min(kSubGrain - inside, range.end() - at);
    f(at / kSubGrain, inside, at - range.offset, length);
    at += length;
  }
}

}  // namespace

MemoryDevice::MemoryDevice(MemoryAtoll* atoll, std::shared_ptr<MemoryVolume> volume, bool read_only)
    : atoll_(atoll), volume_(std::move(volume)) {
  info_.uuid = volume_->info.uuid;
  info_.name = volume_->info.name;
  info_.size = volume_->info.size;
  info_.read_only = read_only;
  ++volume_->open_devices;
  ++atoll_->open_devices_;
}

Status MemoryDevice::Check(ByteRange range, bool write) const {
  if (range.offset > info_.size || range.length > info_.size - range.offset) {
    return {Code::kInvalid, "the range is outside of the device"};
  }
  if (write && info_.read_only) return {Code::kReadOnly, info_.name + ": read-only"};
  return {};
}

Task<Status> MemoryDevice::Refresh() {
  info_.size = volume_->info.size;
  co_return Status();
}

Task<Status> MemoryDevice::Read(uint64_t offset, MutSpan out) {
  const auto pass = co_await gate_.Enter();
  CO_RETURN_IF_ERROR(Check({offset, out.size()}, false));
  ForEachPage({offset, out.size()}, [&](uint64_t page, uint64_t in, uint64_t from, uint64_t n) {
    const auto found = volume_->pages.find(page);
    if (found == volume_->pages.end()) {
      std::memset(out.data() + from, 0, n);
    } else {
      std::memcpy(out.data() + from, found->second.data() + in, n);
    }
  });
  ++atoll_->stats_.reads;
  atoll_->stats_.read_bytes += out.size();
  co_return Status();
}

Task<Status> MemoryDevice::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  const auto pass = co_await gate_.Enter();
  CO_RETURN_IF_ERROR(Check({offset, data.size()}, true));
  atoll_->most_in_flight_ = std::max(atoll_->most_in_flight_, ++atoll_->in_flight_);
  if (atoll_->write_delay_ns_ > 0) co_await atoll_->env_.Sleep(atoll_->write_delay_ns_);
  --atoll_->in_flight_;
  if (data.size() > atoll_->room_bytes_) co_return Status(Code::kNoSpace, "the store is full");
  atoll_->room_bytes_ -= data.size();
  ForEachPage({offset, data.size()}, [&](uint64_t page, uint64_t in, uint64_t from, uint64_t n) {
    std::memcpy(volume_->pages[page].data() + in, data.data() + from, n);
  });
  volume_->last_write = options;
  ++atoll_->stats_.writes;
  atoll_->stats_.write_bytes += data.size();
  co_return Status();
}

Task<Status> MemoryDevice::Flush() {
  const auto pass = co_await gate_.Enter();
  ++volume_->flushes;
  co_return Status();
}

Status MemoryDevice::Clear(ByteRange range) {
  RETURN_IF_ERROR(Check(range, true));
  auto& pages = volume_->pages;
  const auto first = pages.lower_bound(range.offset / kSubGrain);
  for (auto it = first; it != pages.end() && it->first * kSubGrain < range.end();) {
    const ByteRange page{it->first * kSubGrain, kSubGrain};
    const ByteRange part = page.Intersect(range);
    if (part == page) {
      it = pages.erase(it);
      continue;
    }
    std::memset(it->second.data() + (part.offset - page.offset), 0, part.length);
    ++it;
  }
  return {};
}

Task<Status> MemoryDevice::Discard(ByteRange range, DeviceWriteOptions) {
  const auto pass = co_await gate_.Enter();
  co_return Clear(range);
}

Task<Status> MemoryDevice::WriteZeroes(ByteRange range, DeviceZeroOptions) {
  const auto pass = co_await gate_.Enter();
  co_return Clear(range);
}

Task<Result<std::vector<DeviceExtent>>> MemoryDevice::Extents(ByteRange range, size_t limit) {
  const auto pass = co_await gate_.Enter();
  CO_RETURN_IF_ERROR(Check(range, false));
  std::vector<DeviceExtent> extents;
  const auto& pages = volume_->pages;
  for (uint64_t at = range.offset; at < range.end() && extents.size() < limit;) {
    const auto next = pages.lower_bound(at / kSubGrain);
    uint64_t end = range.end();
    const bool hole = next == pages.end() || next->first != at / kSubGrain;
    if (!hole) {
      end = (at / kSubGrain + 1) * kSubGrain;
    } else if (next != pages.end()) {
      end = next->first * kSubGrain;
    }
    end = std::min(end, range.end());
    if (!extents.empty() && extents.back().hole == hole) {
      extents.back().range.length += end - at;
    } else {
      extents.push_back({{at, end - at}, hole, hole});
    }
    at = end;
  }
  co_return extents;
}

Task<Status> MemoryDevice::Prefetch(ByteRange range) { co_return Check(range, false); }

Task<void> MemoryDevice::Close() {
  co_await gate_.Close();
  --volume_->open_devices;
  --atoll_->open_devices_;
}

}  // namespace atl
