// SPDX-License-Identifier: Apache-2.0
//
// Collects a node's garbage every now and then.
//
// Threads: the Env's. Stop before it, or the Atoll, is destroyed.
#pragma once

#include "peers/client/atoll.h"
#include "xseg/base/env.h"
#include "xseg/base/sync.h"

namespace atl {

class GarbageTimer {
 public:
  explicit GarbageTimer(Env* env) : env_(env) {}
  void Start(Atoll* atoll) { loop_.Run(NowAndThen(atoll)); }
  Task<void> Stop() {
    stopping_ = true;
    return loop_.Join();
  }

 private:
  Task<void> NowAndThen(Atoll* atoll);

  Env* env_;
  bool stopping_ = false;
  TaskGroup loop_;
};

}  // namespace atl
