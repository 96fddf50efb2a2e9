// SPDX-License-Identifier: Apache-2.0
//
// CHECK(condition) << "context": an invariant of ours, on in release builds too. A false one prints
// the place, the condition and the context, and aborts: state that cannot be right must not reach
// a disk. Never use it on bytes that came from outside.
#pragma once

#include <sstream>

namespace atl::internal {

class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

}  // namespace atl::internal

// The `while` form swallows a trailing `<<` without an ambiguous else.
#define CHECK(condition)            \
  while (!(condition)) [[unlikely]] \
  ::atl::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()
