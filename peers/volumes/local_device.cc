// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/local_device.h"

#include <fmt/format.h>

namespace atl {

const DeviceInfo& LocalDevice::info() const {
  if (use_.alive()) info_.size = use_.composer().geometry().size;
  return info_;
}

Task<Status> LocalDevice::Refresh() {
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  co_return OkStatus();
}

Task<Status> LocalDevice::Reach(Turn* turn) {
  turn->emplace(co_await line_->Lock());
  if (use_) co_return CheckOpen();
  auto use = co_await table_->Get(slot_, info_.uuid);
  if (!use.ok()) co_return use.status();
  use_ = *std::move(use);
  co_return OkStatus();
}

void LocalDevice::Pass(Turn turn) {
  if (!turn) return;
  // The device may be closed and gone by then; its line is not.
  const auto later = [](std::shared_ptr<Mutex> line, Turn held) -> Task<void> {
    co_await Yield{};
    held.reset();
  };
  Spawn(later(line_, std::move(turn)));
}

Status LocalDevice::CheckOpen() const {
  if (use_.alive()) return {};
  return {Code::kUnavailable, fmt::format("{} was closed by its node", info_.name)};
}

Status LocalDevice::CheckRange(ByteRange range) const {
  // Also right after Reach: between its end and this there may have been others' turns.
  RETURN_IF_ERROR(CheckOpen());
  const uint64_t size = use_.composer().geometry().size;
  if (range.offset <= size && range.length <= size - range.offset) return {};
  return {Code::kInvalid, fmt::format("{}: {} bytes at {} are not inside of its {}", info_.name,
                                      range.length, range.offset, size)};
}

Status LocalDevice::CheckWritable() const {
  if (!info_.read_only) return {};
  return {Code::kReadOnly, fmt::format("{} is open for reading only", info_.name)};
}

Task<Status> LocalDevice::Read(uint64_t offset, MutSpan out) {
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckRange({offset, out.size()}));
  Pass(std::move(turn));
  co_return co_await use_.composer().Read(offset, out);
}

Task<Status> LocalDevice::Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  CO_RETURN_IF_ERROR(CheckWritable());
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckRange({offset, data.size()}));
  Pass(std::move(turn));
  co_return co_await use_.composer().Write(offset, data, options);
}

bool LocalDevice::TryRead(uint64_t offset, MutSpan out) {
  return at_once() && use_.composer().TryRead(offset, out);
}

bool LocalDevice::TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  return at_once() && !info_.read_only && use_.composer().TryWrite(offset, data, options);
}

ConstSpan LocalDevice::TryView(uint64_t offset, size_t length) {
  return at_once() ? use_.composer().TryView(offset, length) : ConstSpan();
}

Task<Status> LocalDevice::Flush() {
  if (info_.read_only) co_return OkStatus();
  // Also if nothing was written here: what a holder acknowledged before it died is made durable by
  // opening, and a client that has reconnected counts on this flush for it.
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckOpen());
  Pass(std::move(turn));
  // Of a volume that had failed before it was opened nothing is durable, whatever is flushed now.
  const std::string reason = use_.composer().read_only_reason();
  CO_RETURN_IF_ERROR(co_await use_.composer().Flush());
  if (reason.empty()) co_return OkStatus();
  co_return Status(Code::kReadOnly, fmt::format("volume {} is read-only: {}", info_.name, reason));
}

Task<Status> LocalDevice::Discard(ByteRange range, DeviceWriteOptions options) {
  CO_RETURN_IF_ERROR(CheckWritable());
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckRange(range));
  Pass(std::move(turn));
  co_return co_await use_.composer().Discard(range, options.fua);
}

Task<Status> LocalDevice::WriteZeroes(ByteRange range, DeviceZeroOptions options) {
  CO_RETURN_IF_ERROR(CheckWritable());
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckRange(range));
  Pass(std::move(turn));
  co_return co_await use_.composer().WriteZeroes(range, options);
}

Task<Result<std::vector<DeviceExtent>>> LocalDevice::Extents(ByteRange range, size_t limit) {
  Turn turn;
  if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  CO_RETURN_IF_ERROR(CheckRange(range));
  Pass(std::move(turn));
  co_return co_await use_.composer().Extents(range, limit);
}

Task<Status> LocalDevice::Prefetch(ByteRange range) {
  {
    Turn turn;
    if (!at_once()) CO_RETURN_IF_ERROR(co_await Reach(&turn));
  }
  CO_RETURN_IF_ERROR(CheckRange(range));
  // Reading it brings it into the cache of whoever has one.
  constexpr uint64_t kStep = 1 * kMiB;
  Buffer buffer = co_await buffers_->Get(std::min(range.length, kStep));
  for (uint64_t at = range.offset; at < range.end(); at += kStep) {
    const uint64_t length = std::min(kStep, range.end() - at);
    CO_RETURN_IF_ERROR(CheckOpen());  // Each read is a call of its own.
    CO_RETURN_IF_ERROR(co_await use_.composer().Read(at, buffer.span().first(length)));
  }
  co_return OkStatus();
}

Task<void> LocalDevice::Close() {
  use_.Leave();
  co_return;
}

}  // namespace atl
