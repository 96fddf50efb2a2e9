// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/resource.h"
#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"

namespace atl {

Task<Status> SnapshotCreate(Context& context) {
  const std::string& name = context.Value("NAME");
  SnapshotSpec spec;
  spec.uuid = context.executor().NewUuid();
  spec.name = name;
  if (const Status valid = ValidateName(name); !valid.ok()) {
    co_return About(valid, "snapshot", name);
  }
  auto volume = ParseRef(context.Value("VOLUME"));
  if (!volume.ok()) co_return About(volume.status(), "volume", context.Value("VOLUME"));
  spec.volume = *std::move(volume);
  auto info = co_await context.node().Snapshot(std::move(spec));
  if (!info.ok()) co_return About(info.status(), "snapshot", name);
  std::string said = fmt::format("created snapshot {} of volume {}, {}", name,
                                 context.Value("VOLUME"), HumanSize(info->size));
  co_return co_await PrintDone(context, std::move(said), *std::move(info));
}

Task<Status> SnapshotList(Context& context) {
  ListSpec spec;
  spec.kind = ResourceKind::kSnapshot;
  if (context.Has("VOLUME")) {
    CO_ASSIGN_OR_RETURN(
        const ResourceInfo volume,
        co_await ShowOfKind(context, ResourceKind::kVolume, context.Value("VOLUME"), false));
    spec.parent = ResourceRef::Of(volume.uuid);
  }
  co_return co_await PrintResources(context, std::move(spec));
}

Task<Status> SnapshotShow(Context& context) {
  CO_ASSIGN_OR_RETURN(ResourceInfo info, co_await ShowOfKind(context, ResourceKind::kSnapshot,
                                                             context.Value("NAME"), true));
  co_return co_await PrintResource(context, std::move(info));
}

Task<Status> SnapshotRemove(Context& context) {
  CO_ASSIGN_OR_RETURN(const ResourceInfo info, co_await ShowOfKind(context, ResourceKind::kSnapshot,
                                                                   context.Value("NAME"), false));
  const Status status = co_await context.node().Remove(ResourceRef::Of(info.uuid));
  if (!status.ok()) co_return About(status, "snapshot", info.name);
  Json json{{"removed", info.name}, {"uuid", info.uuid.ToString()}};
  Print(RenderSaid(context.format(), fmt::format("removed snapshot {}", info.name), json));
  co_return Status();
}

}  // namespace atl
