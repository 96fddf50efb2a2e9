// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/service.h"

#include <vector>

#include "kernel/nbd/extents.h"
#include "kernel/nbd/limits.h"

namespace atl::nbd {
namespace {

// The bytes from the first piece of data to the last.
ByteRange DataOf(const std::vector<ReadPiece>& plan) {
  ByteRange data;
  for (const ReadPiece& piece : plan) {
    if (piece.hole) continue;
    if (data.empty()) data = piece.range;
    data.length = piece.range.end() - data.offset;
  }
  return data;
}

}  // namespace

Task<Error> Service::Execute(Exchange* exchange) {
  exchange->Clear();
  const Status status = co_await Run(exchange);
  if (!status.ok()) {
    const Error error = co_await ErrorFor(exchange->request, status);
    Refuse(exchange, error, status.message());
    co_return error;
  }
  if (exchange->empty()) AnswerDone(exchange);
  co_return kOk;
}

// It may be simple whatever was negotiated.
void Service::AnswerDone(Exchange* exchange) const {
  exchange->AddSimple(exchange->request.cookie, kOk);
}

void Service::AnswerRead(Exchange* exchange, ConstSpan bytes) const {
  const Request& request = exchange->request;
  if (negotiated_.structured) {
    exchange->AddData(request.cookie, request.offset, bytes, true);
  } else {
    exchange->AddSimple(request.cookie, kOk, bytes);
  }
}

bool Service::AsksForHoles(const Request& request) const {
  return negotiated_.structured && !request.has(kCmdFlagDf) && request.length >= kSparseReadBytes;
}

// The device may be smaller than it was when the request was judged.
Task<Error> Service::ErrorFor(const Request& request, const Status& status) {
  if (status.code() == Code::kInvalid && (co_await device_->Refresh()).ok()) {
    const auto refusal = Judge(request, view());
    if (refusal && refusal->beyond) co_return refusal->error;
  }
  const bool fast_zero = request.type == kCmdWriteZeroes && request.has(kCmdFlagFastZero);
  co_return ErrorOf(status, fast_zero);
}

void Service::Refuse(Exchange* exchange, Error error, std::string_view text) const {
  exchange->Clear();
  if (negotiated_.structured) {
    exchange->AddError(exchange->request.cookie, error, text);
  } else {
    exchange->AddSimple(exchange->request.cookie, error);
  }
}

Task<Status> Service::Run(Exchange* exchange) {
  const Request& request = exchange->request;
  const DeviceWriteOptions write{.fua = request.has(kCmdFlagFua), .detect_zeroes = detect_zeroes_};
  switch (request.type) {
    case kCmdRead:
      return Read(exchange);
    case kCmdWrite:
      return device_->Write(request.offset, exchange->buffer.span().first(request.length), write);
    case kCmdFlush:
      return device_->Flush();
    case kCmdTrim:
      return device_->Discard(request.range(), write);
    case kCmdCache:
      return device_->Prefetch(request.range());
    case kCmdWriteZeroes: {
      const DeviceZeroOptions zero{.fua = write.fua,
                                   .no_hole = request.has(kCmdFlagNoHole),
                                   .fast_only = request.has(kCmdFlagFastZero)};
      return device_->WriteZeroes(request.range(), zero);
    }
    default:
      CHECK(request.type == kCmdBlockStatus) << "a request that Judge let pass";
      return BlockStatus(exchange);
  }
}

Task<Status> Service::Read(Exchange* exchange) {
  const Request& request = exchange->request;
  if (request.length == 0) {
    if (negotiated_.structured) exchange->AddDone(request.cookie);
    co_return OkStatus();
  }
  if (AsksForHoles(request)) co_return co_await ReadSparse(exchange);
  exchange->buffer = co_await pool_->Get(request.length);
  const MutSpan bytes = exchange->buffer.span();
  CO_RETURN_IF_ERROR(co_await device_->Read(request.offset, bytes));
  AnswerRead(exchange, bytes);
  co_return OkStatus();
}

// The extents may be older than the bytes by then. A write in between is in flight together with
// this read, so either content of a hole is right.
Task<Status> Service::ReadSparse(Exchange* exchange) {
  const Request& request = exchange->request;
  const ByteRange range = request.range();
  const auto extents = co_await device_->Extents(range, kMaxReadChunks);
  std::vector<ReadPiece> plan{{range, false}};
  if (extents.ok()) plan = PlanRead(range, *extents);
  const ByteRange data = DataOf(plan);
  if (!data.empty()) {
    exchange->buffer = co_await pool_->Get(data.length);
    CO_RETURN_IF_ERROR(co_await device_->Read(data.offset, exchange->buffer.span()));
  }
  for (const ReadPiece& piece : plan) {
    const bool done = piece.range.end() == range.end();
    const auto length = static_cast<uint32_t>(piece.range.length);
    if (piece.hole) {
      exchange->AddHole(request.cookie, piece.range.offset, length, done);
    } else {
      const MutSpan bytes =
          exchange->buffer.span().subspan(piece.range.offset - data.offset, length);
      exchange->AddData(request.cookie, piece.range.offset, bytes, done);
    }
  }
  co_return OkStatus();
}

Task<Status> Service::BlockStatus(Exchange* exchange) {
  const Request& request = exchange->request;
  const size_t limit = request.has(kCmdFlagReqOne) ? 1 : kMaxStatusExtents;
  CO_ASSIGN_OR_RETURN(const std::vector<DeviceExtent> extents,
                      co_await device_->Extents(request.range(), limit));
  const auto descriptors = DescribeStatus(request.range(), extents, limit);
  if (descriptors.empty()) co_return Status(Code::kInternal, "the device knows no extent here");
  exchange->AddBlockStatus(request.cookie, kAllocationContext, descriptors);
  co_return OkStatus();
}

}  // namespace atl::nbd
