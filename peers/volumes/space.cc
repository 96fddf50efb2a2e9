// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/space.h"

#include <map>

#include "peers/volumes/reach.h"

namespace atl {

Task<Result<SpaceUse>> MeasureSpaceOf(StoreSet* stores, std::vector<Located> all, Uuid uuid) {
  std::map<BlobId, Uuid> mine;
  std::map<BlobId, int> users;
  for (const Located& located : all) {
    const Header& header = located.header.header;
    const auto sources = co_await SourcesOf(stores, header);
    // Damage of another resource does not keep this one from being shown.
    if (!sources.ok() && header.uuid != uuid) continue;
    if (!sources.ok()) co_return sources.status();
    const auto add = [&](const BlobId& blob, const Uuid& store) {
      users[blob] += 1;
      if (header.uuid == uuid) mine.emplace(blob, store);
    };
    for (const Source& source : *sources) add(source.blob(), source.store);
    if (header.opening != 0) add(WriteLogOf(header.uuid, header.opening), header.epoch_store);
  }
  SpaceUse use;
  for (const auto& [blob, store] : mine) {
    CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores->Find(store));
    const auto bytes = co_await stores->at(slot).Usage(blob);
    if (bytes.code() == Code::kNotFound) continue;  // Never made; or lost, as its open tells.
    if (!bytes.ok()) co_return bytes.status();
    use.true_bytes += *bytes;
    (users[blob] == 1 ? use.exclusive_bytes : use.shared_bytes) += *bytes;
  }
  co_return use;
}

}  // namespace atl
