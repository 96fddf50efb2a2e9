// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/client/memory_atoll.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/peers/client/memory_device.h"

namespace atl {
namespace {

ResourceInfo NewInfo(Env& env, const Uuid& uuid, ResourceKind kind, std::string name) {
  ResourceInfo info;
  info.uuid = uuid;
  info.kind = kind;
  info.name = std::move(name);
  info.store = "default";
  info.created_ns = info.modified_ns = env.WallNs();
  info.epoch = info.generation = 1;
  return info;
}

}  // namespace

MemoryAtoll::MemoryAtoll(Env& env) : env_(env) {
  stats_.port = "memory";
  stats_.latency = {{.bucket = 9, .count = 5}};
}
MemoryAtoll::~MemoryAtoll() = default;

Result<MemoryAtoll::VolumeRef> MemoryAtoll::Find(const ResourceRef& ref) {
  for (const auto& [name, volume] : by_name_) {
    if (ref.name.empty() ? volume->info.uuid == ref.uuid : name == ref.name) return volume;
  }
  return Status(Code::kNotFound, (ref.name.empty() ? ref.uuid.ToString() : ref.name) +
                                     ": there is no volume or snapshot of this name");
}

Status MemoryAtoll::CheckFree(const std::string& name) {
  RETURN_IF_ERROR(ValidateName(name));
  if (by_name_.contains(name)) return {Code::kExists, name + ": the name is taken"};
  return {};
}

std::shared_ptr<MemoryVolume> MemoryAtoll::Peek(const std::string& name) { return by_name_[name]; }

Task<Result<ResourceInfo>> MemoryAtoll::Create(CreateSpec spec) {
  if (auto own = Find(ResourceRef::Of(spec.uuid)); own.ok()) co_return (*own)->info;
  CO_RETURN_IF_ERROR(CheckFree(spec.name));
  auto volume = std::make_shared<MemoryVolume>();
  volume->info = NewInfo(env_, spec.uuid, ResourceKind::kVolume, spec.name);
  volume->info.size = spec.size;
  if (!spec.store.empty() && spec.store != "default") {
    co_return Status(Code::kNotFound, "store " + spec.store + ": not configured");
  }
  if (spec.from) {
    CO_ASSIGN_OR_RETURN(const VolumeRef from, Find(*spec.from));
    if (from->info.kind != ResourceKind::kSnapshot) {
      co_return Status(Code::kInvalid, from->info.name + ": not a snapshot");
    }
    if (spec.size != 0 && spec.size < from->info.size) {
      co_return Status(Code::kInvalid, "a clone is at least as large as its snapshot");
    }
    if (spec.size == 0) volume->info.size = from->info.size;
    volume->pages = from->pages;
    volume->info.parent = from->info.uuid;
    volume->info.parent_name = from->info.name;
  }
  CO_RETURN_IF_ERROR(ValidateSize(volume->info.size));
  by_name_[spec.name] = volume;
  co_return volume->info;
}

Task<Result<ResourceInfo>> MemoryAtoll::Snapshot(SnapshotSpec spec) {
  CO_RETURN_IF_ERROR(CheckFree(spec.name));
  CO_ASSIGN_OR_RETURN(const VolumeRef of, Find(spec.volume));
  auto snapshot = std::make_shared<MemoryVolume>();
  snapshot->info = NewInfo(env_, spec.uuid, ResourceKind::kSnapshot, spec.name);
  snapshot->info.size = of->info.size;
  snapshot->info.parent = of->info.uuid;
  snapshot->info.parent_name = of->info.name;
  snapshot->pages = of->pages;
  by_name_[spec.name] = snapshot;
  co_return snapshot->info;
}

Task<Result<ResourceInfo>> MemoryAtoll::Show(ResourceRef ref, bool with_space) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  ResourceInfo info = volume->info;
  info.open = volume->open_devices > 0;
  const uint64_t used = volume->pages.size() * kSubGrain;
  if (with_space) info.space = SpaceUse{used, used, 0};
  co_return info;
}

Task<Result<ResourcePage>> MemoryAtoll::List(ListSpec spec) {
  ResourcePage page;
  Uuid parent;
  if (spec.parent) {
    CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(*spec.parent));
    parent = volume->info.uuid;
  }
  for (const auto& [name, volume] : by_name_) {
    const ResourceInfo& info = volume->info;
    if (name <= spec.after || (spec.kind && info.kind != *spec.kind)) continue;
    if (spec.parent && info.parent != parent) continue;
    if (page.items.size() == spec.limit) {
      page.last = false;
      break;
    }
    page.items.push_back(info);
  }
  co_return page;
}

Task<Result<ResourceInfo>> MemoryAtoll::Resize(ResourceRef ref, uint64_t size, bool allow_shrink) {
  CO_RETURN_IF_ERROR(ValidateSize(size));
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  if (size < volume->info.size) {
    if (!allow_shrink) co_return Status(Code::kInvalid, "shrinking would cut off data");
    if (volume->open_devices > 0) co_return Status(Code::kBusy, "a device has it open");
    volume->pages.erase(volume->pages.lower_bound(AlignUp(size, kSubGrain) / kSubGrain),
                        volume->pages.end());
  }
  volume->info.size = size;
  co_return volume->info;
}

Task<Result<ResourceInfo>> MemoryAtoll::Rename(ResourceRef ref, std::string name) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  CO_RETURN_IF_ERROR(CheckFree(name));
  by_name_.erase(volume->info.name);
  volume->info.name = name;
  by_name_[name] = volume;
  co_return volume->info;
}

Task<Status> MemoryAtoll::Remove(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  if (volume->open_devices > 0) co_return Status(Code::kBusy, "a device has it open");
  by_name_.erase(volume->info.name);
  co_return Status();
}

Task<Result<ResourceInfo>> MemoryAtoll::Rollback(ResourceRef ref, ResourceRef snapshot) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  CO_ASSIGN_OR_RETURN(const VolumeRef to, Find(snapshot));
  volume->pages = to->pages;
  volume->info.size = to->info.size;
  co_return volume->info;
}

Task<Result<std::unique_ptr<Device>>> MemoryAtoll::Open(ResourceRef ref, OpenMode mode) {
  if (open_delay_ns_ > 0) co_await env_.Sleep(open_delay_ns_);
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  const bool read_only =
      mode == OpenMode::kReadOnly || volume->info.kind == ResourceKind::kSnapshot;
  co_return std::unique_ptr<Device>(new MemoryDevice(this, volume, read_only));
}

Task<Status> MemoryAtoll::Acquire(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  volume->info.holder = "this-node";
  co_return Status();
}

Task<Status> MemoryAtoll::Release(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  if (volume->open_devices > 0) co_return Status(Code::kBusy, "a device has it open");
  volume->info.holder.clear();
  co_return Status();
}

Task<Result<LockInfo>> MemoryAtoll::GetLock(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  co_return LockInfo{volume->info.holder, volume->info.generation,
                     volume->info.holder.empty() ? "" : "write"};
}

Task<Status> MemoryAtoll::BreakLock(ResourceRef ref, bool force) {
  CO_ASSIGN_OR_RETURN(const VolumeRef volume, Find(ref));
  if (!volume->info.holder.empty() && !force) {
    co_return Status(Code::kBusy, "its holder is alive; --force breaks the lock all the same");
  }
  volume->info.holder.clear();
  co_return Status();
}

Task<Result<std::vector<StoreState>>> MemoryAtoll::Stores() {
  StoreState store;
  store.name = "default";
  store.driver = "memory";
  store.location = "memory";
  store.total_bytes = kGiB;
  store.free_bytes = kGiB / 2;
  store.is_default = true;
  store.state = "ready";
  store.capabilities = {"seal=table", "extents=native"};
  std::vector<StoreState> stores{std::move(store)};
  co_return stores;
}

Task<Result<GcReport>> MemoryAtoll::CollectGarbage(bool dry_run) {
  GcReport report;
  report.blobs = 1;
  report.freed_bytes = kMiB;
  report.items = {dry_run ? "blob would go" : "blob went"};
  co_return report;
}

Task<Result<CheckReport>> MemoryAtoll::Check(CheckSpec spec) {
  if (spec.only) CO_RETURN_IF_ERROR(Find(*spec.only).status());
  CheckReport report;
  report.resources = spec.only ? 1 : by_name_.size();
  report.findings = check_findings;
  for (const Finding& finding : check_findings) {
    ++(finding.severity == Severity::kError ? report.errors : report.notes);
  }
  co_return report;
}

Task<Result<ScrubStatus>> MemoryAtoll::Scrub(ScrubSpec spec) {
  if (spec.action == ScrubAction::kStart) {
    if (spec.rate < kMinScrubRate) co_return Status(Code::kInvalid, "this is too slow");
    if (spec.only) CO_RETURN_IF_ERROR(Find(*spec.only).status());
    scrub = {.state = ScrubState::kRunning, .rate = spec.rate, .total_bytes = kMiB};
    if (spec.only) scrub.resource = spec.only->name;
  } else if (spec.action == ScrubAction::kCancel) {
    scrub.state = ScrubState::kCancelled;
  } else if (scrub.state == ScrubState::kRunning) {
    // Asked twice it is done.
    scrub.done_bytes += kMiB / 2;
    if (scrub.done_bytes == kMiB) scrub.state = ScrubState::kDone;
  }
  co_return scrub;
}

Task<Result<std::vector<PortStats>>> MemoryAtoll::Stats() {
  std::vector<PortStats> rows{stats_};
  co_return rows;
}

}  // namespace atl
