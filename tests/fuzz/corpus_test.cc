// SPDX-License-Identifier: Apache-2.0
//
// Replays the corpus of a fuzzer, and every prefix of each of its inputs, so that no input that was
// ever interesting is forgotten.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace atl {
namespace {

TEST(Corpus, IsSurvivedWithEveryPrefix) {
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ATOLL_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    SCOPED_TRACE(entry.path().string());
    ++inputs;
    for (size_t size = 0; size <= bytes.size(); ++size) {
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), size);
    }
  }
  EXPECT_GE(inputs, 8);
}

}  // namespace
}  // namespace atl
