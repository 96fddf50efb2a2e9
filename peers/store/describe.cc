// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "peers/store/store.h"

namespace atl {
namespace {

const char* NameOf(SealKind kind) {
  switch (kind) {
    case SealKind::kNone:
      return "none";
    case SealKind::kTable:
      return "table";
    case SealKind::kImmutableFlag:
      return "immutable-flag";
    case SealKind::kBlocklist:
      return "blocklist";
    case SealKind::kMandatoryLock:
      return "mandatory-lock";
  }
  return "unknown";
}

const char* NameOf(Support support) {
  switch (support) {
    case Support::kNone:
      return "none";
    case Support::kEmulated:
      return "emulated";
    case Support::kNative:
      return "native";
  }
  return "unknown";
}

}  // namespace

std::vector<std::string> DescribeCapabilities(const StoreInfo& info) {
  const Capabilities& have = info.capabilities;
  std::vector<std::string> out;
  out.push_back(fmt::format("seal={}", NameOf(have.seal)));
  out.push_back(fmt::format("punch={}", NameOf(have.punch)));
  out.push_back(fmt::format("zero={}", NameOf(have.zero)));
  out.push_back(fmt::format("extents={}", NameOf(have.extents)));
  out.push_back(fmt::format("atomic-unit={}", have.atomic_unit));
  if (have.tells_allocation) out.emplace_back("tells-allocation");
  if (have.holds_records) out.emplace_back("records");
  if (have.durable_at_ack) out.emplace_back("durable-at-ack");
  if (have.late_no_space) out.emplace_back("late-no-space");
  if (have.proves_death) out.emplace_back("proves-death");
  out.emplace_back(info.cache.trusted ? "cache-identity" : "no-cache-identity");
  return out;
}

}  // namespace atl
