// SPDX-License-Identifier: Apache-2.0
//
// libatoll: the one way in for front ends, the admin CLI, the control service and the fio engine.
// `LocalAtoll` is the node's own, in its process; `RemoteAtoll` speaks to a node over its socket.
//
// Every creating call brings the uuid that it creates, so that a call whose answer was lost may be
// repeated: the second one finds its own work and succeeds.
//
// Names: 1 to 200 bytes of A-Z a-z 0-9 . _ - @ /, one name space for all kinds within a namespace
// (a project's uuid; zero is the administrator's). A reference is a name, or a uuid, which needs no
// catalog.
//
// Errors: kInvalid, kNotFound, kExists, kBusy (another node, or an open device), kReadOnly,
// kNoSpace, kLimit, kUnsupported, kCorrupt and kUnavailable; messages name the thing and, where
// there is one, the way out.
//
// Threads: an object and the devices that it opens belong to one executor thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peers/client/check_report.h"
#include "peers/client/device.h"
#include "peers/client/port_stats.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"
#include "xseg/base/uuid.h"

namespace atl {

inline constexpr size_t kMaxNameBytes = 200;

// kInvalid with the rule and the first offending byte.
Status ValidateName(std::string_view name);
// kInvalid unless it is a multiple of 512 from 512 to 1 PiB.
Status ValidateSize(uint64_t size);

enum class ResourceKind : uint8_t { kVolume = 1, kSnapshot = 2 };
std::string_view ToString(ResourceKind kind);

// A name in a namespace, or a uuid (then `name` is empty).
struct ResourceRef {
  Uuid name_space;
  std::string name;
  Uuid uuid;

  static ResourceRef Named(std::string name) { return {{}, std::move(name), {}}; }
  static ResourceRef Of(const Uuid& uuid) { return {{}, {}, uuid}; }
};

// Space in bytes, by the store's own counts. true: all that the resource reads from. exclusive:
// what its removal would free. shared: the rest.
struct SpaceUse {
  uint64_t true_bytes = 0;
  uint64_t exclusive_bytes = 0;
  uint64_t shared_bytes = 0;
};

struct ResourceInfo {
  Uuid uuid;
  ResourceKind kind = ResourceKind::kVolume;
  Uuid name_space;
  std::string name;
  uint64_t size = 0;
  uint32_t logical_block = 512;
  uint32_t physical_block = 4096;
  std::string store;
  Uuid parent;              // The snapshot it was cloned from, or the volume it is a snapshot of.
  std::string parent_name;  // If it still exists.
  int64_t created_ns = 0;   // Since 1970 UTC.
  int64_t modified_ns = 0;
  uint32_t epoch = 0;
  uint32_t generation = 0;
  uint32_t sources = 0;           // Entries of its source table.
  bool open = false;              // On the node that was asked.
  std::string holder;             // Of its lock: an incarnation, or empty.
  std::string read_only_reason;   // Not empty after a failed sync.
  std::optional<SpaceUse> space;  // If asked for.
};

struct CreateSpec {
  Uuid uuid;
  Uuid name_space;
  std::string name;
  uint64_t size = 0;  // With a snapshot: at least its size; 0 means the same.
  uint32_t logical_block = 512;
  std::optional<ResourceRef> from;  // A snapshot: the new volume is its clone.
  std::string store;                // Empty: the default, or the snapshot's.
};

struct SnapshotSpec {
  Uuid uuid;
  ResourceRef volume;
  std::string name;
};

// The order is by name, equal names by their namespace; a page goes on behind an item of the last.
struct ListSpec {
  std::optional<ResourceKind> kind;
  std::optional<Uuid> name_space;
  std::optional<ResourceRef> parent;  // Snapshots of this volume only.
  std::string after;                  // The name of that item; empty: from the beginning.
  Uuid after_name_space;              // And its namespace.
  uint32_t limit = 1000;
};

struct ResourcePage {
  std::vector<ResourceInfo> items;
  bool last = true;
};

struct LockInfo {
  std::string holder;  // Empty: free.
  uint32_t generation = 0;
  std::string mode;
};

struct StoreState {
  std::string name;
  std::string driver;
  std::string location;
  Uuid uuid;
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t reserve_bytes = 0;
  bool is_default = false;
  std::string state;                      // "ready", or why it is not.
  std::vector<std::string> capabilities;  // "seal=immutable-flag", ...
};

struct GcReport {
  uint64_t blobs = 0;
  uint64_t logs = 0;
  uint64_t records = 0;
  uint64_t leftovers = 0;
  uint64_t freed_bytes = 0;
  std::vector<std::string> items;  // What goes, or would go; at most 10,000.
};

struct CheckSpec {
  std::optional<ResourceRef> only;  // Else everything.
  bool repair = false;
};

struct ScrubSpec {
  ScrubAction action = ScrubAction::kStatus;
  std::optional<ResourceRef> only;  // Of kStart; else everything.
  uint64_t rate = kScrubRate;       // Of kStart: bytes a second at most.
};

enum class OpenMode : uint8_t {
  kReadWrite,  // Takes the volume's lock at the first write, see below.
  kReadOnly,
};

class Atoll {
 public:
  virtual ~Atoll() = default;

  virtual Task<Result<ResourceInfo>> Create(CreateSpec spec) = 0;
  // Consistent at one point between acknowledged writes, also while the volume is in use.
  virtual Task<Result<ResourceInfo>> Snapshot(SnapshotSpec spec) = 0;
  virtual Task<Result<ResourceInfo>> Show(ResourceRef ref, bool with_space) = 0;
  virtual Task<Result<ResourcePage>> List(ListSpec spec) = 0;
  // Shrinking needs `allow_shrink` and a volume that no device has open.
  virtual Task<Result<ResourceInfo>> Resize(ResourceRef ref, uint64_t size, bool allow_shrink) = 0;
  virtual Task<Result<ResourceInfo>> Rename(ResourceRef ref, std::string name) = 0;
  virtual Task<Status> Remove(ResourceRef ref) = 0;
  // The volume becomes what the snapshot is, its size included. Refused while a device has it open.
  virtual Task<Result<ResourceInfo>> Rollback(ResourceRef ref, ResourceRef snapshot) = 0;

  // Opening for writing takes the volume's lock for this node at the first write, or now by
  // Acquire. Devices of one node share the volume and see each other's writes at once.
  virtual Task<Result<std::unique_ptr<Device>>> Open(ResourceRef ref, OpenMode mode) = 0;
  // `atoll open|close|lock|unlock`.
  virtual Task<Status> Acquire(ResourceRef ref) = 0;
  virtual Task<Status> Release(ResourceRef ref) = 0;
  virtual Task<Result<LockInfo>> GetLock(ResourceRef ref) = 0;
  virtual Task<Status> BreakLock(ResourceRef ref, bool force) = 0;

  virtual Task<Result<std::vector<StoreState>>> Stores() = 0;
  virtual Task<Result<GcReport>> CollectGarbage(bool dry_run) = 0;
  // Looks at everything, or at one resource, while it is in use. `repair` does what loses nothing.
  // What is damaged is in the report, also where it is the resource that was asked for.
  virtual Task<Result<CheckReport>> Check(CheckSpec spec) = 0;
  // Reads all data and metadata again, in the background of the node; one at a time (kBusy). The
  // outcome is kept until the next one is started, or until the node stops.
  virtual Task<Result<ScrubStatus>> Scrub(ScrubSpec spec) = 0;
  virtual Task<Result<std::vector<PortStats>>> Stats() = 0;
};

}  // namespace atl
