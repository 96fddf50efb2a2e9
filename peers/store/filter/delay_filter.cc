// SPDX-License-Identifier: Apache-2.0
#include "peers/store/filter/delay_filter.h"

#include <utility>

namespace atl {

DelayFilter::DelayFilter(Env& env, std::unique_ptr<Store> below, DelayFilterOptions options)
    : ForwardingStore(std::move(below)), env_(env), options_(options) {
  CHECK(options.min_ns <= options.max_ns);
}

Env::Sleeper DelayFilter::Pause(const StoreCall& call) {
  if (!options_.ops.test(static_cast<size_t>(call.op))) return env_.Sleep(0);
  const auto spread = static_cast<uint64_t>(options_.max_ns - options_.min_ns) + 1;
  return env_.Sleep(options_.min_ns + static_cast<int64_t>(env_.Random() % spread));
}

Task<Status> DelayFilter::Before(const StoreCall& call) {
  co_await Pause(call);
  co_return OkStatus();
}

Task<Status> DelayFilter::After(const StoreCall& call, Status outcome) {
  co_await Pause(call);
  co_return outcome;
}

}  // namespace atl
