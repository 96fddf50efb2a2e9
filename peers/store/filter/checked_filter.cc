// SPDX-License-Identifier: Apache-2.0
#include "peers/store/filter/checked_filter.h"

#include <algorithm>
#include <utility>

#include "xseg/base/crc32c.h"

namespace atl {

CheckedFilter::CheckedFilter(std::unique_ptr<Store> below, Handler on_violation)
    : ForwardingStore(std::move(below)), on_violation_(std::move(on_violation)) {}

uint64_t CheckedFilter::stored_bytes() const {
  uint64_t bytes = 0;
  for (const StoreOp op :
       {StoreOp::kWrite, StoreOp::kAppend, StoreOp::kSwapRecord, StoreOp::kPutChunk}) {
    bytes += count(op).bytes;
  }
  return bytes;
}

void CheckedFilter::Expect(bool kept, const StoreCall& call, const char* rule) {
  if (kept) return;
  const std::string violation = Describe(call) + ": " + rule;
  CHECK(on_violation_) << violation;
  on_violation_(violation);
}

void CheckedFilter::CheckSizes(const StoreCall& call) {
  switch (call.op) {
    case StoreOp::kRead:
    case StoreOp::kWrite:
    case StoreOp::kAppend:
    case StoreOp::kReadLog:
      Expect(call.range.length <= kMaxStoreIo, call, "more than 32 MiB at once");
      [[fallthrough]];
    case StoreOp::kZero:
    case StoreOp::kPunch:
    case StoreOp::kExtents:
    case StoreOp::kCopy:
      Expect(call.range.length <= kMaxVolumeSize &&
                 call.range.offset <= kMaxVolumeSize - call.range.length,
             call, "beyond 1 PiB");
      break;
    case StoreOp::kSwapRecord:
      Expect(call.range.length <= kMaxRecordBytes, call, "a record of more than 64 KiB");
      break;
    case StoreOp::kPutChunk:
      Expect(call.range.length <= kMaxChunkBytes, call, "a chunk of more than 4 MiB");
      break;
    default:
      break;
  }
}

void CheckedFilter::CheckAppend(const StoreCall& call) {
  const auto at = logs_.find(std::get<LogId>(call.target));
  if (at == logs_.end() || !at->second.end_known) return;
  const Log& log = at->second;
  Expect(call.range.offset <= log.end, call, "an append that leaves a gap");
  if (call.range.offset >= log.end) return;
  Expect(call.range.offset == log.last_position && call.range.length >= log.last_length &&
             Crc32c(call.data.first(std::min<size_t>(log.last_length, call.data.size()))) ==
                 log.last_checksum,
         call, "an append over other bytes");
}

void CheckedFilter::CheckTarget(const StoreCall& call) {
  switch (call.op) {
    case StoreOp::kWrite:
    case StoreOp::kZero:
    case StoreOp::kPunch:
    case StoreOp::kCopy:
      Expect(blobs_.contains(std::get<BlobId>(call.target)), call, "a blob that is not adopted");
      break;
    case StoreOp::kAppend:
    case StoreOp::kReserve:
    case StoreOp::kTrimLog:
      Expect(logs_.contains(std::get<LogId>(call.target)), call, "a log that is not adopted");
      break;
    default:
      break;
  }
}

Task<Status> CheckedFilter::Before(const StoreCall& call) {
  Expect(!closed_, call, "the store is closed");
  CheckSizes(call);
  CheckTarget(call);
  if (call.op == StoreOp::kAppend) CheckAppend(call);
  co_return OkStatus();
}

void CheckedFilter::Learn(const StoreCall& call, bool ok) {
  switch (call.op) {
    case StoreOp::kAdopt:
      if (ok) blobs_.insert(std::get<BlobId>(call.target));
      break;
    case StoreOp::kAdoptLog:
      if (ok) logs_.try_emplace(std::get<LogId>(call.target));
      break;
    // Not by a removal: garbage of a holder whose lock was broken by force may be removed through
    // the same store before that holder has noticed.
    case StoreOp::kDisown:
      blobs_.erase(std::get<BlobId>(call.target));
      break;
    case StoreOp::kDisownLog:
      logs_.erase(std::get<LogId>(call.target));
      break;
    case StoreOp::kAppend: {
      const auto at = logs_.find(std::get<LogId>(call.target));
      if (at == logs_.end()) break;
      // Of a failed one any part may be there; the same bytes go to the same place.
      Log& log = at->second;
      if (ok) log.end = std::max(log.end, call.range.end());
      if (ok) log.end_known = true;
      log.last_position = call.range.offset;
      log.last_length = call.range.length;
      log.last_checksum = Crc32c(call.data);
      break;
    }
    case StoreOp::kClose:
      closed_ = true;
      break;
    default:
      break;
  }
}

bool CheckedFilter::TryRead(const BlobId& blob, uint64_t offset, MutSpan out) {
  return CountAtOnce(StoreOp::kRead, !closed_ && below().TryRead(blob, offset, out), out.size());
}

bool CheckedFilter::TryWrite(const BlobId& blob, uint64_t offset, ConstSpan data) {
  const bool may = !closed_ && blobs_.contains(blob);
  return CountAtOnce(StoreOp::kWrite, may && below().TryWrite(blob, offset, data), data.size());
}

bool CheckedFilter::CountAtOnce(StoreOp op, bool done, size_t bytes) {
  OpCount& counted = counts_[static_cast<size_t>(op)];
  counted.calls += done;
  counted.bytes += done ? bytes : 0;
  return done;
}

Task<Status> CheckedFilter::After(const StoreCall& call, Status outcome) {
  OpCount& counted = counts_[static_cast<size_t>(call.op)];
  ++counted.calls;
  counted.bytes += call.range.length;
  if (!outcome.ok()) ++counted.errors;
  Learn(call, outcome.ok());
  co_return outcome;
}

}  // namespace atl
