// SPDX-License-Identifier: Apache-2.0
//
// A small Atoll of its own for tests of what stands above the interface: names, volumes as maps of
// 4 KiB pages, snapshots and clones as copies, devices, locks. Everything is in memory and of one
// process.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "peers/client/atoll.h"
#include "peers/client/node_control.h"
#include "xseg/base/env.h"

namespace atl {

using MemoryPage = std::array<std::byte, kSubGrain>;

struct MemoryVolume {
  ResourceInfo info;
  std::map<uint64_t, MemoryPage> pages;  // By index; absent: zero.
  int open_devices = 0;
  uint64_t flushes = 0;
  DeviceWriteOptions last_write;
};

class MemoryAtoll final : public Atoll {
 public:
  explicit MemoryAtoll(Env& env);
  ~MemoryAtoll() override;

  Task<Result<ResourceInfo>> Create(CreateSpec spec) override;
  Task<Result<ResourceInfo>> Snapshot(SnapshotSpec spec) override;
  Task<Result<ResourceInfo>> Show(ResourceRef ref, bool with_space) override;
  Task<Result<ResourcePage>> List(ListSpec spec) override;
  Task<Result<ResourceInfo>> Resize(ResourceRef ref, uint64_t size, bool allow_shrink) override;
  Task<Result<ResourceInfo>> Rename(ResourceRef ref, std::string name) override;
  Task<Status> Remove(ResourceRef ref) override;
  Task<Result<ResourceInfo>> Rollback(ResourceRef ref, ResourceRef snapshot) override;
  Task<Result<std::unique_ptr<Device>>> Open(ResourceRef ref, OpenMode mode) override;
  Task<Status> Acquire(ResourceRef ref) override;
  Task<Status> Release(ResourceRef ref) override;
  Task<Result<LockInfo>> GetLock(ResourceRef ref) override;
  Task<Status> BreakLock(ResourceRef ref, bool force) override;
  Task<Result<std::vector<StoreState>>> Stores() override;
  Task<Result<GcReport>> CollectGarbage(bool dry_run) override;
  Task<Result<CheckReport>> Check(CheckSpec spec) override;
  Task<Result<ScrubStatus>> Scrub(ScrubSpec spec) override;
  Task<Result<std::vector<PortStats>>> Stats() override;

  // For tests to look at, and to bend.
  std::shared_ptr<MemoryVolume> Peek(const std::string& name);
  int open_devices() const { return open_devices_; }
  int in_flight() const { return in_flight_; }
  int most_in_flight() const { return most_in_flight_; }
  void set_open_delay_ns(int64_t delay_ns) { open_delay_ns_ = delay_ns; }
  void set_write_delay_ns(int64_t delay_ns) { write_delay_ns_ = delay_ns; }
  // Writes behind this many bytes of all devices together fail with kNoSpace.
  void set_room_bytes(uint64_t bytes) { room_bytes_ = bytes; }
  // What a check finds, and the scrub.
  std::vector<Finding> check_findings;
  ScrubStatus scrub;

 private:
  friend class MemoryDevice;
  using VolumeRef = std::shared_ptr<MemoryVolume>;
  Result<VolumeRef> Find(const ResourceRef& ref);
  Status CheckFree(const std::string& name);

  Env& env_;
  std::map<std::string, VolumeRef> by_name_;
  PortStats stats_;
  int open_devices_ = 0;
  int in_flight_ = 0;
  int most_in_flight_ = 0;
  int64_t open_delay_ns_ = 0;
  int64_t write_delay_ns_ = 0;
  uint64_t room_bytes_ = UINT64_MAX;
};

}  // namespace atl
