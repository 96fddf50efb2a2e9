// SPDX-License-Identifier: Apache-2.0
//
// What a sync that has failed leaves.
#pragma once

#include "xseg/base/status.h"

namespace atl {

// What was to become durable may be lost, whatever the cache has of it and whatever a later sync
// says. Not if the sync was never made, or if nobody can say yet.
inline bool MayHaveLost(const Status& synced) {
  switch (synced.code()) {
    case Code::kOk:
    case Code::kInvalid:
    case Code::kNotFound:
    case Code::kBusy:
    case Code::kUnavailable:
    case Code::kFenced:
    case Code::kCancelled:
    case Code::kStale:
      return false;
    default:
      return true;
  }
}

}  // namespace atl
