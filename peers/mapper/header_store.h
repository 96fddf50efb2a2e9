// SPDX-License-Identifier: Apache-2.0
//
// Headers as records of a store: read, made, changed.
#pragma once

#include <functional>
#include <optional>

#include "peers/format/header.h"
#include "peers/store/store.h"
#include "xseg/base/env.h"

namespace atl {

// A swap that ended with an error, when the record could not be read to see what became of it.
struct HeaderDoubt {
  Uuid operation;
  Header next;  // What it would have made.
};

struct VersionedHeader {
  Header header;
  uint64_t version = 0;
  std::optional<HeaderDoubt> doubt = {};
};

// kNotFound names the uuid.
Task<Result<VersionedHeader>> ReadHeader(Store* store, Uuid uuid, ReadFor purpose);

// What a header or a map names and the store does not have is damage; as "not found" it would be
// taken for a resource that nobody has made.
Status AbsentIsDamage(Status status);

// kCorrupt, naming it, if the current blob or journal of a volume is lost: adopting and sealing
// make what is absent, and an empty one in its place would read as zeros, or as an older state.
// What has been replaced since `header` was read is not lost.
Task<Status> CheckCurrentIsThere(Store* store, Header header);

// Makes the first version. kExists if there is one already that `operation` did not write.
Task<Result<VersionedHeader>> PutHeader(Store* store, Header header, Uuid operation);

// What a change makes of a header as it was read; not ok: leave it and return that.
using HeaderChange = std::function<Status(Header*)>;

// Swaps until it wins, computing the change anew from what is read each time. `known` saves the
// first read and is what the header is in the end. A swap that answers with an error may have
// happened; the record tells. If it cannot be read, `known` is left in doubt, with kUnavailable.
Task<Status> ChangeHeader(Env* env, Store* store, VersionedHeader* known, HeaderChange change);

// Ends a doubt: true if the swap happened, and `known` is then what it made. Nothing to do: false.
// Not ok: it is in doubt still.
Task<Result<bool>> SettleHeader(Store* store, VersionedHeader* known);

}  // namespace atl
