// SPDX-License-Identifier: Apache-2.0
//
// Name records: namespace/name -> uuid. A record counts only if the header that it points to is
// alive and carries that name; so a name is taken at the moment in which a header with it appears,
// and a maker that died in between blocks nobody.
//
//   create:  Claim(name, uuid), put the header, look again: not ours any more, withdraw the header
//   rename:  read the header, Claim(new, uuid), then swap the header as it was read; if that swap
//   is
//            lost, all of it again; then Withdraw(old)
//   remove:  header to removed, then Withdraw
//
// Who takes over a record that does not count first makes its maker's commit impossible (puts a
// `removed` header under that uuid, or swaps the header it has), looks again, then swaps the name
// record. The maker of a rename has read its header before it claimed, so its swap is lost to the
// one of whoever saw the claim. The maker of a new resource looks again because garbage collection
// may have taken the tombstone from under it.
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

// What stands under the uuid of a name record that shall never count.
Header Tombstone(const NameRecord& record, int64_t now_ns);

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
  // Whether the record points to another: then a header with that name never counted.
  Task<Result<bool>> IsTaken(Uuid name_space, std::string name, Uuid uuid,
                             ReadFor purpose = ReadFor::kAct);
  // Removes a record that does not count, once it never can. kExists if it counts, kConflict if it
  // has changed meanwhile.
  Task<Status> Discard(RecordKey key);
  // Removes the record if it points to `uuid`.
  Task<Status> Withdraw(Uuid name_space, std::string name, Uuid uuid);

 private:
  struct Entry {
    NameRecord record;
    uint64_t version = 0;  // 0: absent.
  };
  Task<Result<Entry>> Read(RecordKey key, ReadFor purpose = ReadFor::kAct);
  // Ok: the record does not count and never will. kExists: it counts.
  Task<Status> TakeOver(NameRecord record);

  Env* env_;
  StoreSet* stores_;
};

}  // namespace atl
