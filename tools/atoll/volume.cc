// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/resource.h"
#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

constexpr std::string_view kKind = "volume";

Status OfVolume(const Context& context, Status status) {
  return About(std::move(status), kKind, context.Value("NAME"));
}

Result<CreateSpec> ReadCreateSpec(Context& context) {
  CreateSpec spec;
  spec.uuid = context.executor().NewUuid();
  spec.name = context.Value("NAME");
  spec.store = context.Value("store");
  RETURN_IF_ERROR(ValidateName(spec.name));
  if (context.Has("from")) {
    auto from = ParseRef(context.Value("from"));
    if (!from.ok()) return from.status().With("--from");
    spec.from = *std::move(from);
  }
  if (context.Has("size")) {
    ASSIGN_OR_RETURN(spec.size, context.VolumeSize("size"));
  } else if (!spec.from) {
    return context.WrongUsage(Status(Code::kInvalid, "--size is missing, and there is no --from"));
  }
  return spec;
}

}  // namespace

Task<Status> VolumeCreate(Context& context) {
  auto spec = ReadCreateSpec(context);
  if (!spec.ok()) co_return OfVolume(context, spec.status());
  auto info = co_await context.node().Create(*std::move(spec));
  if (!info.ok()) co_return OfVolume(context, info.status());
  std::string said = fmt::format("created volume {}, {}", info->name, HumanSize(info->size));
  co_return co_await PrintDone(context, std::move(said), *std::move(info));
}

Task<Status> VolumeList(Context& context) {
  ListSpec spec;
  spec.kind = ResourceKind::kVolume;
  co_return co_await PrintResources(context, std::move(spec));
}

Task<Status> VolumeShow(Context& context) {
  CO_ASSIGN_OR_RETURN(ResourceInfo info, co_await ShowOfKind(context, ResourceKind::kVolume,
                                                             context.Value("NAME"), true));
  co_return co_await PrintResource(context, std::move(info));
}

Task<Status> VolumeResize(Context& context) {
  const auto size = context.VolumeSize("size");
  if (!size.ok()) co_return OfVolume(context, size.status());
  CO_ASSIGN_OR_RETURN(const ResourceInfo before, co_await ShowOfKind(context, ResourceKind::kVolume,
                                                                     context.Value("NAME"), false));
  const bool force = context.Flag("force");
  if (*size < before.size && !force) {
    co_return OfVolume(
        context, Status(Code::kInvalid, fmt::format("{} is less than its {}; --force cuts off what "
                                                    "is beyond",
                                                    HumanSize(*size), HumanSize(before.size))));
  }
  auto info = co_await context.node().Resize(ResourceRef::Of(before.uuid), *size, force);
  if (!info.ok()) co_return OfVolume(context, info.status());
  std::string said = fmt::format("volume {} has {} now", info->name, HumanSize(info->size));
  co_return co_await PrintDone(context, std::move(said), *std::move(info));
}

// Names are one space for volumes and snapshots, so this renames either.
Task<Status> VolumeRename(Context& context) {
  const std::string& to = context.Value("NEW");
  auto ref = ParseRef(context.Value("NAME"));
  if (!ref.ok()) co_return OfVolume(context, ref.status());
  if (const Status valid = ValidateName(to); !valid.ok()) co_return About(valid, kKind, to);
  auto info = co_await context.node().Rename(*std::move(ref), to);
  if (!info.ok()) co_return OfVolume(context, info.status());
  std::string said =
      fmt::format("{} {} is {} now", ToString(info->kind), context.Value("NAME"), to);
  co_return co_await PrintDone(context, std::move(said), *std::move(info));
}

namespace {

// The uuid must be of one that cannot be shown.
Task<Status> GiveUpLost(Context& context) {
  const std::string& name = context.Value("NAME");
  auto ref = ParseRef(name);
  if (ref.ok() && !ref->name.empty()) {
    ref = Status(Code::kInvalid,
                 "--lost takes uuid:UUID, as in the message that says what is missing");
  }
  if (!ref.ok()) co_return OfVolume(context, ref.status());
  const auto shown = co_await context.node().Show(*ref, false);
  if (shown.ok()) {
    co_return OfVolume(context,
                       Status(Code::kInvalid, "its header is there; remove it without --lost"));
  }
  const Status status = co_await context.node().Remove(*std::move(ref));
  if (!status.ok()) co_return OfVolume(context, status);
  Json json{{"removed", name}, {"uuid", name}};
  Print(RenderSaid(context.format(), fmt::format("gave up volume {}", name), json));
  co_return Status();
}

}  // namespace

Task<Status> VolumeRemove(Context& context) {
  if (context.Flag("lost")) co_return co_await GiveUpLost(context);
  CO_ASSIGN_OR_RETURN(const ResourceInfo info, co_await ShowOfKind(context, ResourceKind::kVolume,
                                                                   context.Value("NAME"), false));
  const Status status = co_await context.node().Remove(ResourceRef::Of(info.uuid));
  if (!status.ok()) co_return OfVolume(context, status);
  Json json{{"removed", info.name}, {"uuid", info.uuid.ToString()}};
  Print(RenderSaid(context.format(), fmt::format("removed volume {}", info.name), json));
  co_return Status();
}

Task<Status> VolumeRollback(Context& context) {
  CO_ASSIGN_OR_RETURN(const ResourceInfo volume, co_await ShowOfKind(context, ResourceKind::kVolume,
                                                                     context.Value("NAME"), false));
  CO_ASSIGN_OR_RETURN(
      const ResourceInfo snapshot,
      co_await ShowOfKind(context, ResourceKind::kSnapshot, context.Value("to"), false));
  auto info = co_await context.node().Rollback(ResourceRef::Of(volume.uuid),
                                               ResourceRef::Of(snapshot.uuid));
  if (!info.ok()) co_return OfVolume(context, info.status());
  std::string said = fmt::format("volume {} is what {} is", volume.name, snapshot.name);
  co_return co_await PrintDone(context, std::move(said), *std::move(info));
}

}  // namespace atl
