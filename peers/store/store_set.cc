// SPDX-License-Identifier: Apache-2.0
#include "peers/store/store_set.h"

#include <fmt/format.h>

namespace atl {

Result<StoreSlot> StoreSet::Find(const Uuid& uuid) const {
  for (size_t i = 0; i < stores_.size(); ++i) {
    if (stores_[i]->info().uuid == uuid) return static_cast<StoreSlot>(i);
  }
  return Status(Code::kUnavailable,
                fmt::format("store {} is not configured on this node", uuid.ToString()));
}

Result<StoreSlot> StoreSet::FindByName(std::string_view name) const {
  if (name.empty()) return default_;
  std::string known;
  for (size_t i = 0; i < stores_.size(); ++i) {
    if (stores_[i]->info().name == name) return static_cast<StoreSlot>(i);
    known += (i == 0 ? "" : ", ") + stores_[i]->info().name;
  }
  return Status(Code::kNotFound, fmt::format("no store '{}'; there are: {}", name, known));
}

}  // namespace atl
