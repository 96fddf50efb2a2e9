// SPDX-License-Identifier: Apache-2.0
//
// Headers as records of a store: read, made, changed.
#pragma once

#include <functional>

#include "peers/format/header.h"
#include "peers/store/store.h"
#include "xseg/base/env.h"

namespace atl {

struct VersionedHeader {
  Header header;
  uint64_t version = 0;
};

// kNotFound names the uuid.
Task<Result<VersionedHeader>> ReadHeader(Store* store, Uuid uuid, ReadFor purpose);

// Makes the first version. kExists if there is one already that `operation` did not write.
Task<Result<VersionedHeader>> PutHeader(Store* store, Header header, Uuid operation);

// What a change makes of a header as it was read; not ok: leave it and return that.
using HeaderChange = std::function<Status(Header*)>;

// Swaps until it wins, computing the change anew from what is read each time. `known` saves the
// first read and is what the header is in the end.
Task<Status> ChangeHeader(Env* env, Store* store, VersionedHeader* known, HeaderChange change);

}  // namespace atl
