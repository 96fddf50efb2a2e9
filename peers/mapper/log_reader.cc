// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/log_reader.h"

#include <algorithm>

namespace atl {
namespace {

constexpr size_t kReadStep = 1 * kMiB;

}  // namespace

Task<Result<Bytes>> ReadWholeLog(Store* store, LogId log, uint64_t limit) {
  Bytes bytes;
  while (bytes.size() < limit) {
    const size_t before = bytes.size();
    const size_t want = std::min<uint64_t>(kReadStep, limit - before);
    bytes.resize(before + want);
    const auto got = co_await store->ReadLog(log, before, MutSpan(bytes).subspan(before));
    if (!got.ok()) co_return got.status();
    bytes.resize(before + *got);
    if (*got < want) break;
  }
  co_return bytes;
}

}  // namespace atl
