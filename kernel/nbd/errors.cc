// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/errors.h"

#include <array>

namespace atl::nbd {
namespace {

constexpr std::array<ErrorRow, kCodeCount> kRows = {{
    {Code::kOk, kOk, kRepAck},
    {Code::kInvalid, kEinval, kRepErrUnknown},
    {Code::kNotFound, kEio, kRepErrUnknown},
    {Code::kExists, kEio, kRepErrUnknown},
    {Code::kConflict, kEio, kRepErrUnknown},
    {Code::kBusy, kEperm, kRepErrPolicy},
    {Code::kReadOnly, kEperm, kRepErrPolicy},
    {Code::kNoSpace, kEnospc, kRepErrUnknown},
    {Code::kIo, kEio, kRepErrUnknown},
    {Code::kCorrupt, kEio, kRepErrUnknown},
    {Code::kUnavailable, kEio, kRepErrUnknown},
    {Code::kTimeout, kEio, kRepErrUnknown},
    {Code::kFenced, kEperm, kRepErrPolicy},
    {Code::kLimit, kEnospc, kRepErrPolicy},
    {Code::kUnsupported, kEinval, kRepErrPolicy},
    {Code::kPermission, kEperm, kRepErrPolicy},
    {Code::kCancelled, kEshutdown, kRepErrShutdown},
    {Code::kInternal, kEio, kRepErrUnknown},
    {Code::kStale, kEio, kRepErrUnknown},
}};

constexpr bool RowsStandAtTheirCodes() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].code) != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirCodes());

}  // namespace

const ErrorRow& ErrorRowOf(Code code) { return kRows[static_cast<size_t>(code)]; }

Error ErrorOf(const Status& status, bool fast_zero) {
  if (fast_zero && status.code() == Code::kUnsupported) return kEnotsup;
  return ErrorRowOf(status.code()).error;
}

OptionReply OptionReplyOf(const Status& status) { return ErrorRowOf(status.code()).option_reply; }

}  // namespace atl::nbd
