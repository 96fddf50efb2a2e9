// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/write_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "xseg/base/planted.h"

namespace atl {
namespace {

constexpr uint64_t kLeastHalf = 64 * kKiB;
constexpr uint64_t kMostHalf = 64 * kMiB;
static_assert(kMostHalf <= kWriteLogHalf);
constexpr size_t kZeroStep = 1 * kMiB;

Task<Status> FillWithZeros(Store* store, BlobId log, ByteRange range) {
  HeapBufferPool pool(kZeroStep);
  const Buffer zeros = co_await pool.Get(kZeroStep);
  std::ranges::fill(zeros.span(), std::byte{0});
  for (uint64_t at = range.offset; at < range.end(); at += kZeroStep) {
    const uint64_t length = std::min<uint64_t>(kZeroStep, range.end() - at);
    CO_RETURN_IF_ERROR(co_await store->Write(log, at, zeros.span().first(length), {}));
    co_await Yield{};  // Others are served in between.
  }
  co_return OkStatus();
}

}  // namespace

uint64_t WriteLog::HalfOf(uint64_t volume_size) {
  return std::clamp(AlignDown(volume_size / 16, kLeastHalf), kLeastHalf, kMostHalf);
}

// A record and the mark behind it are far from filling a half.
uint64_t WriteLog::MostGrains(uint64_t volume_size) {
  return std::min(kMaxLoggedGrains, HalfOf(volume_size) / 4 / kSubGrain);
}

Task<Result<std::unique_ptr<WriteLog>>> WriteLog::Make(Store* store, BlobId log, uint32_t opening,
                                                       uint64_t volume_size) {
  const uint64_t half = HalfOf(volume_size);
  CO_RETURN_IF_ERROR(co_await store->Adopt(log, 0));
  CO_RETURN_IF_ERROR(co_await FillWithZeros(store, log, {0, half}));
  CO_RETURN_IF_ERROR(co_await FillWithZeros(store, log, {kWriteLogHalf, half}));
  CO_RETURN_IF_ERROR(co_await store->Sync(log));
  co_return std::unique_ptr<WriteLog>(new WriteLog(store, log, opening, half));
}

// Behind a record that holds writes a mark has its place.
bool WriteLog::Fits(uint64_t bytes, uint64_t reserve) const {
  return offset_ + bytes + reserve <= half_bytes_;
}

bool WriteLog::HasRoom(uint64_t grains) const {
  const uint64_t bytes = WriteLogRecordBytes(grains);
  const bool fits_in_other = !wants_mark() && bytes + kWriteLogPage <= half_bytes_;
  return failed_.ok() && (Fits(bytes, kWriteLogPage) || fits_in_other);
}

bool WriteLog::Place(uint64_t bytes, uint64_t reserve) {
  if (Fits(bytes, reserve)) return true;
  if (wants_mark() || bytes + reserve > half_bytes_) return false;
  half_ = 1 - half_;
  offset_ = 0;
  return true;
}

Task<Status> WriteLog::Append(std::vector<JournalEntry> runs, Fill fill) {
  const auto lock = co_await mutex_.Lock();
  CO_RETURN_IF_ERROR(failed_);
  const uint64_t bytes = WriteLogRecordBytes(LoggedGrains(runs));
  if (!Place(bytes, kWriteLogPage)) co_return Status(Code::kLimit, "the write log is full");
  // Before its data is looked at: whoever syncs the blob from now on syncs what this one holds.
  const uint64_t sequence = next_++;
  last_writes_ = sequence;
  const Buffer buffer = co_await buffers_.Get(bytes);
  const Status filled = co_await fill(runs, buffer.span().subspan(kWriteLogPage));
  if (filled.ok()) {
    WriteLogRecord record{.sequence = sequence, .runs = std::move(runs)};
    co_return co_await Put(std::move(record), buffer.span());
  }
  // Its place in the order stays taken, by a record of nothing.
  CO_RETURN_IF_ERROR(co_await Put({.sequence = sequence}, buffer.span().first(kWriteLogPage)));
  co_return Status(Code::kUnavailable, std::string(filled.message()));
}

Task<Status> WriteLog::Mark(uint64_t sequence) {
  const auto lock = co_await mutex_.Lock();
  CO_RETURN_IF_ERROR(failed_);
  if (sequence <= live_from_) co_return OkStatus();
  if (!Place(kWriteLogPage, 0)) {
    co_return failed_ = Status(Code::kInternal, "the write log has no room for a mark");
  }
  const WriteLogRecord record{.sequence = next_++, .live_from = sequence};
  const Buffer buffer = co_await buffers_.Get(kWriteLogPage);
  CO_RETURN_IF_ERROR(co_await Put(record, buffer.span()));
  live_from_ = sequence;
  co_return OkStatus();
}

// It is not tried again: of what a store could not sync it makes no further promise.
Task<Status> WriteLog::Put(WriteLogRecord record, MutSpan bytes) {
  if (record.live_from == 0) record.live_from = live_from_;
  record.opening = opening_;
  record.previous = previous_;
  record.cache = store_->info().cache;
  const uint64_t sequence = record.sequence;
  const uint32_t checksum = SealWriteLogRecord(log_, record, bytes);
  const uint64_t at = half_ * kWriteLogHalf + offset_;
  const bool data_sync = !planted::Has(planted::Bug::kUnsyncedLog);
  const Status status = co_await store_->Write(log_, at, bytes, {.data_sync = data_sync});
  if (!status.ok()) co_return failed_ = status.With("the write log is closed");
  previous_ = checksum;
  offset_ += bytes.size();
  last_of_[half_] = sequence;
  co_return OkStatus();
}

}  // namespace atl
