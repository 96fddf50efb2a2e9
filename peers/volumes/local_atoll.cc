// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/local_atoll.h"

#include <fmt/format.h>

#include "peers/volumes/local_device.h"
#include "peers/volumes/transitions.h"

namespace atl {

LocalAtoll::LocalAtoll(Env* env, StoreSet* stores, MapOpener* maps, BufferPool* buffers,
                       NodeIdentity identity, ComposerOptions options)
    : env_(env),
      stores_(stores),
      identity_(std::move(identity)),
      buffers_(buffers),
      locks_(env, &identity_),
      names_(env, stores),
      table_(env, stores, maps, buffers, &identity_, &locks_, options),
      scrubber_(env, stores, buffers, identity_) {}

LocalAtoll::~LocalAtoll() = default;

Task<Status> LocalAtoll::BuryPredecessor(Uuid incarnation) {
  Status status;
  for (size_t i = 0; i < stores_->size(); ++i) {
    const Status ended =
        co_await EndLease(env_, &stores_->at(static_cast<StoreSlot>(i)), incarnation);
    if (status.ok()) status = ended;
  }
  co_return status;
}

Task<Status> LocalAtoll::Shutdown() {
  co_await scrubber_.Stop();
  co_return co_await table_.Shutdown();
}

// --- Finding -------------------------------------------------------------------------------------

Task<Result<Located>> LocalAtoll::Locate(ResourceRef ref) {
  if (ref.name.empty()) co_return co_await names_.FindByUuid(ref.uuid);
  CO_RETURN_IF_ERROR(ValidateName(ref.name));
  co_return co_await names_.Find(ref.name_space, ref.name);
}

Task<Result<Located>> LocalAtoll::LocateVolume(ResourceRef ref, std::string verb) {
  CO_ASSIGN_OR_RETURN(Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  if (header.kind != HeaderKind::kVolume) {
    co_return Status(Code::kInvalid,
                     fmt::format("{} is a snapshot, which cannot be {}", header.name, verb));
  }
  co_return found;
}

Task<Result<Located>> LocalAtoll::LocateSnapshot(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  if (header.kind != HeaderKind::kSnapshot) {
    co_return Status(Code::kInvalid, fmt::format("{} is not a snapshot; take one first with 'atoll "
                                                 "snapshot create {} NAME'",
                                                 header.name, header.name));
  }
  co_return found;
}

ResourceInfo LocalAtoll::InfoOf(const Located& located) const {
  ResourceInfo info = Describe(located.header.header, stores_->at(located.slot).info().name);
  info.open = table_.serves(info.uuid);
  return info;
}

Task<Result<ResourceInfo>> LocalAtoll::Info(Uuid uuid, StoreSlot slot) {
  auto header = co_await ReadHeader(&stores_->at(slot), uuid, ReadFor::kLook);
  if (!header.ok()) co_return header.status();
  co_return InfoOf(Located{slot, *std::move(header)});
}

// --- Devices and locks ---------------------------------------------------------------------------

Task<Result<std::unique_ptr<Device>>> LocalAtoll::Open(ResourceRef ref, OpenMode mode) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  DeviceInfo info;
  info.uuid = header.uuid;
  info.name = header.name;
  info.size = header.size;
  info.logical_block = header.logical_block;
  info.physical_block = header.physical_block;
  info.read_only = mode == OpenMode::kReadOnly || header.kind == HeaderKind::kSnapshot;
  std::unique_ptr<Device> device =
      std::make_unique<LocalDevice>(&table_, buffers_, found.slot, std::move(info));
  co_return device;
}

// An administrator's open is what ends a read-only state after a failed sync.
Task<Status> LocalAtoll::EndReadOnly(Located volume) {
  const Uuid uuid = volume.header.header.uuid;
  const std::string name = volume.header.header.name;
  // Opened as it is, while the reason stands: what was written to the blob that could not be synced
  // is left behind in an older epoch, where the store does not trust it any more.
  const auto closed = co_await table_.Exclude(uuid, name);
  if (!closed.ok()) co_return closed.status();
  CO_RETURN_IF_ERROR(co_await table_.OpenAndClose(volume.slot, uuid));
  const HeaderChange clear = [](Header* header) -> Status {
    header->read_only_reason.clear();
    return {};
  };
  co_return co_await ChangeHeader(env_, &stores_->at(volume.slot), &volume.header, clear);
}

Task<Status> LocalAtoll::Acquire(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  const Uuid uuid = header.uuid;
  if (!header.read_only_reason.empty() || table_.has_unrecorded_failure(uuid)) {
    CO_RETURN_IF_ERROR(co_await EndReadOnly(found));
  }
  co_return co_await table_.Hold(found.slot, uuid);
}

Task<Status> LocalAtoll::Release(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  table_.Unhold(header.uuid);
  co_return co_await table_.CloseUnused(header.uuid, header.name);
}

Task<Result<LockInfo>> LocalAtoll::GetLock(ResourceRef ref) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  co_return co_await locks_.Describe(&stores_->at(found.slot), found.header.header.uuid);
}

Task<Status> LocalAtoll::BreakLock(ResourceRef ref, bool force) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  const Header& header = found.header.header;
  if (table_.is_open(header.uuid)) {
    table_.Unhold(header.uuid);
    co_return co_await table_.CloseUnused(header.uuid, header.name);
  }
  const auto closed = co_await table_.Exclude(header.uuid, header.name);
  if (!closed.ok()) co_return closed.status();
  Store& store = stores_->at(found.slot);
  Header now = header;
  while (true) {
    CO_RETURN_IF_ERROR(co_await locks_.Break(&store, now, force));
    if (!force) co_return OkStatus();
    // The holder may have pinned while it was being sealed: what it writes to now is sealed too.
    const auto again = co_await ReadHeader(&store, now.uuid, ReadFor::kAct);
    if (!again.ok()) co_return again.status();
    if (again->header.generation == now.generation) co_return OkStatus();
    now = again->header;
  }
}

Task<Result<std::vector<StoreState>>> LocalAtoll::Stores() {
  std::vector<StoreState> states;
  for (size_t i = 0; i < stores_->size(); ++i) {
    Store& store = stores_->at(static_cast<StoreSlot>(i));
    const StoreInfo& info = store.info();
    StoreState state;
    state.name = info.name;
    state.driver = info.driver;
    state.location = info.location;
    state.uuid = info.uuid;
    state.is_default = stores_->default_slot() == i;
    const auto capacity = co_await store.GetCapacity();
    state.state = capacity.ok() ? "ready" : capacity.status().ToString();
    if (capacity.ok()) {
      state.total_bytes = capacity->total_bytes;
      state.free_bytes = capacity->free_bytes;
      state.reserve_bytes = capacity->reserve_bytes;
    }
    state.capabilities = DescribeCapabilities(info);
    states.push_back(std::move(state));
  }
  co_return states;
}

}  // namespace atl
