// SPDX-License-Identifier: Apache-2.0
//
// Name records: namespace/name -> uuid. A record counts only if the header that it points to is
// alive and carries that name; so a name is taken at the moment in which a header with it appears,
// and a maker that died in between blocks nobody.
//
//   create:  Claim(name, uuid), put the header, look again: not ours any more, withdraw the header
//   rename:  Claim(new, uuid), then swap the header; if that swap is lost, Claim again before the
//            next try; then Withdraw(old)
//   remove:  header to removed, then Withdraw
//
// Who takes over a record that does not count first makes its maker's commit impossible (puts a
// `removed` header under that uuid, or swaps the header it has), looks again, then swaps the name
// record; the maker of a rename learns of it because its next Claim is lost.
#pragma once

#include <string>

#include "peers/format/records.h"
#include "peers/mapper/header_store.h"
#include "peers/store/store_set.h"
#include "xseg/base/env.h"

namespace atl {

// A resource as it was found.
struct Located {
  StoreSlot slot = 0;
  VersionedHeader header;
};

class Names {
 public:
  Names(Env* env, StoreSet* stores) : env_(env), stores_(stores) {}

  // kNotFound, naming it, if there is no record that counts.
  Task<Result<Located>> Find(Uuid name_space, std::string name);
  // By uuid, in whatever store it is.
  Task<Result<Located>> FindByUuid(Uuid uuid);

  // kExists if the name counts for another uuid.
  Task<Status> Claim(Uuid name_space, std::string name, Uuid uuid, Uuid store);
  // Whether the record points to `uuid`: looked at again once its header is there.
  Task<Result<bool>> PointsTo(Uuid name_space, std::string name, Uuid uuid);
  // Removes the record if it points to `uuid`.
  Task<Status> Withdraw(Uuid name_space, std::string name, Uuid uuid);

 private:
  struct Entry {
    NameRecord record;
    uint64_t version = 0;  // 0: absent.
  };
  Task<Result<Entry>> Read(RecordKey key);
  // Ok: the record does not count and never will. kExists: it counts.
  Task<Status> TakeOver(const NameRecord& record);

  Env* env_;
  StoreSet* stores_;
};

}  // namespace atl
