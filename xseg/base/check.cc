// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/check.h"

#include <cstdlib>
#include <iostream>

namespace atl::internal {

CheckFailure::CheckFailure(const char* file, int line, const char* condition) {
  stream_ << file << ":" << line << ": CHECK failed: " << condition << " ";
}

CheckFailure::~CheckFailure() {
  stream_ << "\n";
  std::cerr << stream_.str() << std::flush;
  std::abort();
}

}  // namespace atl::internal
