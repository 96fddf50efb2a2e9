// SPDX-License-Identifier: Apache-2.0
//
// Feeds a whole connection: handshake, request parser, service and replies over memory. The first
// byte says how the rest is cut into pieces. Built as a libFuzzer target with -DATOLL_FUZZ=ON and
// clang; the corpus is replayed by an ordinary test.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/kernel/nbd/conversation.h"

namespace {

// Writes stay small enough for a run to take no time; sizes of requests are the fuzzer's.
constexpr uint64_t kDiskBytes = 2 * atl::kMiB;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] == 0 ? size : data[0];
  atl::ConstSpan rest{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  atl::TestEnv env;
  atl::MemoryAtoll atoll(&env, 64 * atl::kMiB);
  atoll.Add("disk", kDiskBytes);
  atoll.Add("snap", kDiskBytes, atl::ResourceKind::kSnapshot);
  atl::nbd::Conversation conversation(&env, &atoll);
  while (!rest.empty() && !conversation.closed()) {
    const atl::ConstSpan now = rest.first(std::min(rest.size(), piece));
    conversation.Say(now);
    conversation.Hear();
    rest = rest.subspan(now.size());
  }
  return 0;
}
