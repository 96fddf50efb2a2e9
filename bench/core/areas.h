// SPDX-License-Identifier: Apache-2.0
//
// What core_bench can measure; see the head of core_bench_main.cc.
//
// Threads: one.
#pragma once

#include <string>

#include "bench/core/bench.h"

namespace atl::core_bench {

struct OpsOptions {
  int rounds = 41;
  bool json = false;
};

// Of a bench that watches syncs.
Task<void> RunOps(Bench* bench, OpsOptions options);
Task<void> RunChain(Bench* bench);
Task<void> RunAmplification(Bench* bench, std::string folder);
Task<void> RunOpen(Bench* bench);

}  // namespace atl::core_bench
