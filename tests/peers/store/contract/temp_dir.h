// SPDX-License-Identifier: Apache-2.0
//
// A directory of its own for one test, removed with everything in it, sealed files included.
#pragma once

#include <string>

namespace atl {

class TempDir {
 public:
  // In `below`; if null in ATOLL_TEST_DIR, else in the system's place for temporaries.
  explicit TempDir(const char* below = nullptr);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace atl
