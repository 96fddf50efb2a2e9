// SPDX-License-Identifier: Apache-2.0
//
// The expected outcomes of operations. Three kinds of wrong are kept apart in this project:
//
//   - an expected outcome (a name is taken, a disk is full) is a `Status` or a `Result<T>`;
//   - a broken invariant of our own is a `CHECK` (check.h) and ends the process;
//   - hostile bytes are validated at one boundary and become a `Status` there.
//
// A Status is cheap while it is ok (no allocation) and may be copied and moved between threads.
// Context is added once, where the thing is known: `status.With("volume db1")`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "xseg/base/check.h"

namespace atl {

// Values travel between processes: append only, never renumber.
enum class Code : uint8_t {
  kOk = 0,
  kInvalid = 1,       // The request makes no sense, whatever the state.
  kNotFound = 2,      //
  kExists = 3,        //
  kConflict = 4,      // A compare-and-swap was lost; read again and recompute.
  kBusy = 5,          // Somebody else holds it.
  kReadOnly = 6,      //
  kNoSpace = 7,       //
  kIo = 8,            // The device said so.
  kCorrupt = 9,       // A checksum, an identity or a referenced thing is wrong or missing.
  kUnavailable = 10,  // A store or a peer cannot be reached now.
  kTimeout = 11,      //
  kFenced = 12,       // This holder has lost its right to the thing.
  kLimit = 13,        // A named limit is reached.
  kUnsupported = 14,  //
  kPermission = 15,   //
  kCancelled = 16,    //
  kInternal = 17,     //
  kStale = 18,        // What the request is about was a peer's that has died since; open it anew.
};
inline constexpr int kCodeCount = 19;

// One row a code: what it is called, and what it becomes at each edge of the system.
struct CodeRow {
  Code code;
  std::string_view name;
  int posix_errno;
  int http_status;
  bool retryable;
};
const CodeRow& RowOf(Code code);
Code CodeOfErrno(int posix_errno);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message)
      : code_(code), message_(std::make_shared<const std::string>(std::move(message))) {}

  // `what` names the call and its object, as in "pwrite /var/x".
  static Status FromErrno(int posix_errno, std::string_view what);

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  std::string_view message() const { return message_ ? std::string_view(*message_) : ""; }
  bool retryable() const { return RowOf(code_).retryable; }

  // The same outcome with "context: " before its message; an ok status stays ok.
  Status With(std::string_view context) const;
  // For people: "name: message", or "ok".
  std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  std::shared_ptr<const std::string> message_;
};

inline Status OkStatus() { return {}; }

// Either a value or a Status that is not ok.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok()); }  // NOLINT
  Result(T value) : value_(std::move(value)) {}                                 // NOLINT

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Code code() const { return status_.code(); }

  T& operator*() & { return *Checked(); }
  const T& operator*() const& { return *const_cast<Result*>(this)->Checked(); }
  T&& operator*() && { return std::move(*Checked()); }
  T* operator->() { return Checked(); }
  const T* operator->() const { return const_cast<Result*>(this)->Checked(); }

 private:
  T* Checked() {
    CHECK(value_.has_value()) << status_.ToString();
    return &*value_;
  }
  Status status_;
  std::optional<T> value_;
};

// What is pasted are declarations and keywords, which no parentheses may enclose.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define ATOLL_CONCAT_INNER(a, b) a##b
#define ATOLL_CONCAT(a, b) ATOLL_CONCAT_INNER(a, b)

#define ATOLL_RETURN_IF_ERROR(ret, expr)                      \
  if (::atl::Status ATOLL_CONCAT(status_, __LINE__) = (expr); \
      !ATOLL_CONCAT(status_, __LINE__).ok())                  \
  ret ATOLL_CONCAT(status_, __LINE__)
#define ATOLL_ASSIGN_OR(ret, lhs, tmp, expr) \
  auto tmp = (expr);                         \
  if (!tmp.ok()) ret tmp.status();           \
  lhs = *std::move(tmp)

// Leave the function with what went wrong, or go on. The CO_ forms are for coroutines.
#define RETURN_IF_ERROR(expr) ATOLL_RETURN_IF_ERROR(return, expr)
#define CO_RETURN_IF_ERROR(expr) ATOLL_RETURN_IF_ERROR(co_return, expr)
#define ASSIGN_OR_RETURN(lhs, expr) \
  ATOLL_ASSIGN_OR(return, lhs, ATOLL_CONCAT(result_, __LINE__), expr)
#define CO_ASSIGN_OR_RETURN(lhs, expr) \
  ATOLL_ASSIGN_OR(co_return, lhs, ATOLL_CONCAT(result_, __LINE__), expr)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace atl
