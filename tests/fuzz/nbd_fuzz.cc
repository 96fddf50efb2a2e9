// SPDX-License-Identifier: Apache-2.0
//
// Feeds a whole connection: handshake, request parser, service and replies over memory. The first
// byte says how the rest is cut into pieces, and with its highest bit that a second connection to
// the same exports gets every other one. Built as a libFuzzer target with -DATOLL_FUZZ=ON and
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
  const size_t piece = (data[0] & 0x7F) == 0 ? size : data[0] & 0x7F;
  const bool two = (data[0] & 0x80) != 0;
  atl::ConstSpan rest{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  atl::TestEnv env;
  atl::MemoryAtoll atoll(&env, 64 * atl::kMiB);
  atoll.Add("disk", kDiskBytes);
  atoll.Add("snap", kDiskBytes, atl::ResourceKind::kSnapshot);
  atl::nbd::Conversation conversations[2] = {{&env, &atoll}, {&env, &atoll}};
  for (size_t turn = 0; !rest.empty(); ++turn) {
    atl::nbd::Conversation& conversation = conversations[two ? turn % 2 : 0];
    const atl::ConstSpan now = rest.first(std::min(rest.size(), piece));
    rest = rest.subspan(now.size());
    if (conversation.closed()) {
      if (!two) break;
      continue;
    }
    conversation.Say(now);
    conversation.Hear();
  }
  return 0;
}
