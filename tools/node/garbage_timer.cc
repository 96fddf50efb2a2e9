// SPDX-License-Identifier: Apache-2.0
#include "tools/node/garbage_timer.h"

#include <spdlog/spdlog.h>

namespace atl {
namespace {

constexpr int64_t kGarbageInterval = 600 * kSecond;

}  // namespace

Task<void> GarbageTimer::NowAndThen(Atoll* atoll) {
  // In naps, so that a node that stops does not wait for it.
  constexpr int64_t kNap = 100 * kMillisecond;
  int64_t next_ns = env_->BootNs() + kGarbageInterval;
  while (!stopping_) {
    co_await env_->Sleep(kNap);
    if (env_->BootNs() < next_ns) continue;
    const auto report = co_await atoll->CollectGarbage(false);
    if (!report.ok()) {
      spdlog::warn("garbage collection: {}", report.status().ToString());
    } else if (report->blobs + report->logs + report->records > 0) {
      spdlog::info("garbage collection: {} blobs, {} logs, {} records, {} bytes freed",
                   report->blobs, report->logs, report->records, report->freed_bytes);
    }
    next_ns = env_->BootNs() + kGarbageInterval;
  }
}

}  // namespace atl
