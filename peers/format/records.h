// SPDX-License-Identifier: Apache-2.0
//
// The other records: names, locks, leases. Formats: docs/FORMAT.md, one section each.
//
// Encode answers kInvalid or kLimit for what Decode would refuse; Decode answers kCorrupt, or
// kUnsupported for what a newer program wrote, and names the record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peers/format/envelope.h"
#include "peers/store/ids.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"

namespace atl {

// namespace/name -> uuid. It counts only if the header that it points to carries that name.
struct NameRecord {
  FormatFlags flags;
  Uuid name_space;
  std::string name;
  Uuid uuid;
  Uuid store;  // Of the header.
};
RecordKey NameKey(const Uuid& name_space, std::string_view name);
Result<Bytes> EncodeNameRecord(const NameRecord& record);
// Checked against the key under which it was found.
Result<NameRecord> DecodeNameRecord(ConstSpan bytes, const RecordKey& key);

// Who may use a resource. A free one has neither holder nor readers.
enum class LockMode : uint8_t {
  kFree = 0,
  kWriter = 1,    // `holder` writes; readers are its own business.
  kReaders = 2,   // Incarnations in `readers` read (snapshots).
  kRemoving = 3,  // `holder` takes it away; nobody may enter while that one lives.
};
inline constexpr size_t kMaxLockReaders = 64;
struct LockRecord {
  FormatFlags flags;
  Uuid resource;
  LockMode mode = LockMode::kFree;
  Uuid holder;              // An incarnation.
  uint32_t generation = 0;  // Grows with each change of holder.
  std::vector<Uuid> readers;
  Uuid wanted;  // An incarnation that asks for hand-over.
};
Result<Bytes> EncodeLockRecord(const LockRecord& record);
Result<LockRecord> DecodeLockRecord(ConstSpan bytes, const Uuid& resource);

// Enough for a host name and the longest path.
inline constexpr size_t kMaxLeaseText = 4352;
// One life of a node. Renewed by its owner every third of `term_ns`; each renewal is a new version.
struct LeaseRecord {
  FormatFlags flags;
  Uuid incarnation;
  std::string node;             // For people: host name and state directory.
  std::string control_address;  // "unix:PATH".
  // Which process it is: a pid means something in its namespace of its boot, and names one process
  // of it together with the time at which that started. 0: not known.
  Uuid boot;
  uint32_t pid = 0;
  uint64_t pid_namespace = 0;
  uint64_t start_ticks = 0;
  int64_t term_ns = 0;
  uint64_t renewals = 0;
  bool ended = false;  // Said by its owner: everything was released.
};
Result<Bytes> EncodeLeaseRecord(const LeaseRecord& record);
Result<LeaseRecord> DecodeLeaseRecord(ConstSpan bytes, const Uuid& incarnation);

}  // namespace atl
