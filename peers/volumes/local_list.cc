// SPDX-License-Identifier: Apache-2.0
//
// Looking at resources.
#include <algorithm>
#include <map>

#include "peers/volumes/garbage.h"
#include "peers/volumes/local_atoll.h"
#include "peers/volumes/lost.h"
#include "peers/volumes/reach.h"
#include "peers/volumes/space.h"
#include "peers/volumes/transitions.h"

namespace atl {

Task<Result<std::vector<Located>>> LocalAtoll::AllLive(std::map<Uuid, Status>* damaged) {
  std::vector<Located> all;
  std::map<Uuid, Status> ignored;
  for (size_t i = 0; i < stores_->size(); ++i) {
    const auto slot = static_cast<StoreSlot>(i);
    auto headers =
        co_await ReadAllHeaders(&stores_->at(slot), ReadFor::kLook, damaged ? damaged : &ignored);
    if (!headers.ok()) co_return headers.status();
    for (VersionedHeader& header : *headers) {
      if (header.header.state != HeaderState::kLive) continue;
      all.push_back({slot, std::move(header)});
    }
  }
  co_return all;
}

Task<Result<ResourcePage>> LocalAtoll::List(ListSpec spec) {
  Uuid parent;
  if (spec.parent) {
    CO_ASSIGN_OR_RETURN(const Located located, co_await Locate(*spec.parent));
    parent = located.header.header.uuid;
  }
  std::map<Uuid, Status> damaged;
  CO_ASSIGN_OR_RETURN(const std::vector<Located> all, co_await AllLive(&damaged));
  std::map<Uuid, std::string> names;
  std::map<Uuid, StoreSlot> slots;
  for (const Located& located : all) {
    names.emplace(located.header.header.uuid, located.header.header.name);
    slots.emplace(located.header.header.uuid, located.slot);
  }
  ResourcePage page;
  for (const Located& located : all) {
    ResourceInfo info = InfoOf(located);
    if (spec.kind && info.kind != *spec.kind) continue;
    if (spec.name_space && info.name_space != *spec.name_space) continue;
    if (spec.parent && info.parent != parent) continue;
    if (const auto found = names.find(info.parent); found != names.end()) {
      info.parent_name = found->second;
    }
    page.items.push_back(std::move(info));
  }
  std::set<RecordKey> settled;
  for (const Located& located : all) {
    settled.insert(NameKey(located.header.header.name_space, located.header.header.name));
  }
  CO_ASSIGN_OR_RETURN(const std::vector<NameRecord> lost, co_await AllLost(stores_, settled));
  // Damage is shown and hides nothing else.
  for (const NameRecord& record : lost) {
    ResourceInfo info;
    info.uuid = record.uuid;
    info.name_space = record.name_space;
    info.name = record.name;
    info.read_only_reason = "corrupt: header missing";
    const bool wanted = (!spec.kind || *spec.kind == ResourceKind::kVolume) &&
                        (!spec.name_space || info.name_space == *spec.name_space) && !spec.parent &&
                        (spec.after.empty() || info.name > spec.after);
    if (wanted) page.items.push_back(std::move(info));
  }
  for (const auto& [uuid, status] : damaged) {
    ResourceInfo info;
    info.uuid = uuid;
    info.name = "(damaged) " + uuid.ToString();
    info.read_only_reason = status.ToString();
    if (!spec.kind || *spec.kind == ResourceKind::kVolume) page.items.push_back(std::move(info));
  }
  const auto place = [](const ResourceInfo& info) { return std::pair(info.name, info.name_space); };
  const std::pair behind(spec.after, spec.after_name_space);
  if (!spec.after.empty()) {
    std::erase_if(page.items, [&](const ResourceInfo& info) { return place(info) <= behind; });
  }
  std::ranges::sort(page.items, {}, place);
  const uint32_t limit = std::clamp<uint32_t>(spec.limit, 1, 1000);
  page.last = page.items.size() <= limit;
  if (!page.last) page.items.resize(limit);
  // Of what is shown: who has it.
  for (ResourceInfo& info : page.items) {
    const auto slot = slots.find(info.uuid);
    if (slot == slots.end()) continue;
    const auto lock = co_await locks_.Describe(&stores_->at(slot->second), info.uuid);
    if (lock.ok()) info.holder = lock->holder;
  }
  co_return page;
}

Task<Result<ResourceInfo>> LocalAtoll::Show(ResourceRef ref, bool with_space) {
  CO_ASSIGN_OR_RETURN(const Located found, co_await Locate(std::move(ref)));
  ResourceInfo info = InfoOf(found);
  Store& store = stores_->at(found.slot);
  if (!info.parent.is_zero()) {
    const auto parent = co_await ReadHeader(&store, info.parent, ReadFor::kLook);
    if (parent.ok() && parent->header.state == HeaderState::kLive) {
      info.parent_name = parent->header.name;
    }
  }
  const auto lock = co_await locks_.Describe(&store, info.uuid);
  if (lock.ok()) info.holder = lock->holder;
  CO_ASSIGN_OR_RETURN(const std::vector<Source> sources,
                      co_await SourcesOf(stores_, found.header.header));
  info.sources = static_cast<uint32_t>(sources.size());
  if (with_space) {
    CO_ASSIGN_OR_RETURN(info.space, co_await MeasureSpace(info.uuid));
  }
  co_return info;
}

Task<Result<SpaceUse>> LocalAtoll::MeasureSpace(Uuid uuid) {
  CO_ASSIGN_OR_RETURN(const std::vector<Located> all, co_await AllLive());
  co_return co_await MeasureSpaceOf(stores_, all, uuid);
}

Task<Result<GcReport>> LocalAtoll::CollectGarbage(bool dry_run) {
  GarbageCollector collector(env_, stores_, identity_);
  co_return co_await collector.Run(dry_run);
}

}  // namespace atl
