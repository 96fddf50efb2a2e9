// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/status.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace atl {
namespace {

constexpr std::array<CodeRow, kCodeCount> kRows = {{
    {Code::kOk, "ok", 0, 200, false},
    {Code::kInvalid, "invalid", EINVAL, 400, false},
    {Code::kNotFound, "not found", ENOENT, 404, false},
    {Code::kExists, "exists", EEXIST, 409, false},
    {Code::kConflict, "conflict", EAGAIN, 409, true},
    {Code::kBusy, "busy", EBUSY, 409, true},
    {Code::kReadOnly, "read-only", EROFS, 403, false},
    {Code::kNoSpace, "no space", ENOSPC, 507, true},
    {Code::kIo, "I/O error", EIO, 500, false},
    {Code::kCorrupt, "corrupt", EIO, 500, false},
    {Code::kUnavailable, "unavailable", EHOSTDOWN, 503, true},
    {Code::kTimeout, "timeout", ETIMEDOUT, 504, true},
    {Code::kFenced, "fenced", ESHUTDOWN, 409, false},
    {Code::kLimit, "limit reached", EOVERFLOW, 413, false},
    {Code::kUnsupported, "unsupported", EOPNOTSUPP, 501, false},
    {Code::kPermission, "permission denied", EPERM, 403, false},
    {Code::kCancelled, "cancelled", ECANCELED, 499, true},
    {Code::kInternal, "internal error", EIO, 500, false},
    {Code::kStale, "stale", ESTALE, 503, true},
}};

constexpr bool RowsAreInOrder() {
  for (int i = 0; i < kCodeCount; ++i) {
    if (static_cast<int>(kRows[i].code) != i) return false;
  }
  return true;
}
static_assert(RowsAreInOrder());

}  // namespace

const CodeRow& RowOf(Code code) {
  const auto index = static_cast<size_t>(code);
  return index < kRows.size() ? kRows[index] : kRows.back();
}

Code CodeOfErrno(int posix_errno) {
  switch (posix_errno) {
    case 0:
      return Code::kOk;
    case EINVAL:
      return Code::kInvalid;
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kExists;
    case EAGAIN:
      return Code::kConflict;
    case EBUSY:
      return Code::kBusy;
    case EROFS:
      return Code::kReadOnly;
    case ENOSPC:
    case EDQUOT:
      return Code::kNoSpace;
    case EOPNOTSUPP:
    case ENOSYS:
      return Code::kUnsupported;
    case EPERM:
    case EACCES:
      return Code::kPermission;
    case ETIMEDOUT:
      return Code::kTimeout;
    case ECANCELED:
      return Code::kCancelled;
    case ESHUTDOWN:
      return Code::kFenced;
    case ECONNREFUSED:
    case EHOSTDOWN:
      return Code::kUnavailable;
    default:
      return Code::kIo;
  }
}

Status Status::FromErrno(int posix_errno, std::string_view what) {
  if (posix_errno == 0) return {};
  std::string message(what);
  message += ": ";
  message += std::strerror(posix_errno);
  return {CodeOfErrno(posix_errno), std::move(message)};
}

Status Status::With(std::string_view context) const {
  if (ok()) return *this;
  std::string message(context);
  message += ": ";
  message += this->message();
  return {code_, std::move(message)};
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  std::string text(RowOf(code_).name);
  if (message_ && !message_->empty()) text += ": " + *message_;
  return text;
}

}  // namespace atl
