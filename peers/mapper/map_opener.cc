// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/map_opener.h"

#include "peers/mapper/volume_map.h"

namespace atl {

Task<Result<std::unique_ptr<MapApi>>> LocalMapOpener::OpenWritable(StoreSlot home, Uuid uuid) {
  auto map = co_await VolumeMap::OpenWritable(env_, stores_, home, uuid, VolumeMap::kAdoptWait);
  if (!map.ok()) co_return map.status();
  co_return std::unique_ptr<MapApi>(*std::move(map));
}

Task<Result<std::unique_ptr<MapApi>>> LocalMapOpener::OpenFrozen(StoreSlot home, Uuid uuid) {
  auto map = co_await VolumeMap::OpenFrozen(env_, stores_, home, uuid);
  if (!map.ok()) co_return map.status();
  co_return std::unique_ptr<MapApi>(*std::move(map));
}

Task<Result<std::unique_ptr<MapApi>>> LocalMapOpener::Reopen(StoreSlot home, Uuid uuid,
                                                             uint32_t generation) {
  auto map = co_await VolumeMap::Reopen(env_, stores_, home, uuid, generation);
  if (!map.ok()) co_return map.status();
  co_return std::unique_ptr<MapApi>(*std::move(map));
}

}  // namespace atl
