// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/resource.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

Status OfVolume(const Context& context, Status status) {
  return About(std::move(status), "volume", context.Value("NAME"));
}

// Prints how the lock of a volume stands.
Task<Status> PrintLock(Context& context, ResourceRef ref, std::string said) {
  const auto lock = co_await context.node().GetLock(std::move(ref));
  if (!lock.ok()) co_return OfVolume(context, lock.status());
  Json json{{"name", context.Value("NAME")},
            {"locked", !lock->holder.empty()},
            {"holder", lock->holder},
            {"generation", lock->generation},
            {"mode", lock->mode}};
  if (!lock->holder.empty()) said += fmt::format(", held by {} ({})", lock->holder, lock->mode);
  Print(RenderSaid(context.format(), said, json));
  co_return Status();
}

Task<Status> TakeLock(Context& context, std::string_view state) {
  const auto ref = ParseRef(context.Value("NAME"));
  if (!ref.ok()) co_return OfVolume(context, ref.status());
  const Status status = co_await context.node().Acquire(*ref);
  if (!status.ok()) co_return OfVolume(context, status);
  std::string said = fmt::format("volume {} is {}", context.Value("NAME"), state);
  co_return co_await PrintLock(context, *ref, std::move(said));
}

}  // namespace

Task<Status> OpenVolume(Context& context) { return TakeLock(context, "open"); }
Task<Status> LockVolume(Context& context) { return TakeLock(context, "locked"); }

Task<Status> CloseVolume(Context& context) {
  const auto ref = ParseRef(context.Value("NAME"));
  if (!ref.ok()) co_return OfVolume(context, ref.status());
  const Status status = co_await context.node().Release(*ref);
  if (!status.ok()) co_return OfVolume(context, status);
  std::string said = fmt::format("volume {} is not open on this node", context.Value("NAME"));
  co_return co_await PrintLock(context, *ref, std::move(said));
}

Task<Status> UnlockVolume(Context& context) {
  const auto ref = ParseRef(context.Value("NAME"));
  if (!ref.ok()) co_return OfVolume(context, ref.status());
  const Status status = co_await context.node().BreakLock(*ref, context.Flag("force"));
  if (!status.ok()) co_return OfVolume(context, status);
  std::string said = fmt::format("volume {} is unlocked", context.Value("NAME"));
  co_return co_await PrintLock(context, *ref, std::move(said));
}

}  // namespace atl
