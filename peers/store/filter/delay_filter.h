// SPDX-License-Identifier: Apache-2.0
//
// A store that takes its time: each chosen operation waits before it is handed on, and again before
// its end is told, so that what overlaps is reordered.
#pragma once

#include <memory>

#include "peers/store/filter/error_filter.h"
#include "xseg/base/env.h"

namespace atl {

struct DelayFilterOptions {
  int64_t min_ns = 0;
  int64_t max_ns = kMillisecond;
  StoreOpSet ops = AllStoreOps();
};

class DelayFilter final : public ForwardingStore {
 public:
  DelayFilter(Env& env, std::unique_ptr<Store> below, DelayFilterOptions options);

 private:
  Task<Status> Before(const StoreCall& call) override;
  Task<Status> After(const StoreCall& call, Status outcome) override;
  Env::Sleeper Pause(const StoreCall& call);

  Env& env_;
  DelayFilterOptions options_;
};

}  // namespace atl
