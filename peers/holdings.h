// SPDX-License-Identifier: Apache-2.0
//
// What a peer holds, known outside of its process: whoever takes its place if it dies takes that
// over, before it does anything for anybody. In an isolated node the keeper is the supervisor.
//
// Threads: the peer's.
#pragma once

#include "peers/store_ops.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

class HoldingsKeeper {
 public:
  virtual ~HoldingsKeeper() = default;
  // It is known when this has ended. May be repeated.
  virtual Task<Status> Note(Holding what) = 0;
  virtual Task<Status> Drop(Holding what) = 0;
};

}  // namespace atl
