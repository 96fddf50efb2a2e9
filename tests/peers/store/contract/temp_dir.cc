// SPDX-License-Identifier: Apache-2.0
#include "temp_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "peers/store/file/probe.h"
#include "xseg/base/fd.h"

namespace atl {

TempDir::TempDir(const char* below) {
  const char* base = below ? below : std::getenv("ATOLL_TEST_DIR");
  path_ = std::string(base ? base : testing::TempDir()) + "/atoll-test-XXXXXX";
  CHECK(mkdtemp(path_.data()) != nullptr) << path_;
}

TempDir::~TempDir() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto unseal = [](const fs::path& path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    if (fd.valid() && IsImmutable(fd.get())) (void)SetImmutable(fd.get(), false, path);
  };
  for (const auto& entry : fs::recursive_directory_iterator(path_, ignored)) unseal(entry.path());
  fs::remove_all(path_, ignored);
}

}  // namespace atl
