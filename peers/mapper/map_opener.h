// SPDX-License-Identifier: Apache-2.0
//
// Where open maps come from: this process (`LocalMapOpener`), or the mapper's.
#pragma once

#include <memory>

#include "peers/mapper/map_api.h"
#include "xseg/base/env.h"

namespace atl {

class MapOpener {
 public:
  virtual ~MapOpener() = default;
  // As of VolumeMap::OpenWritable and OpenFrozen.
  virtual Task<Result<std::unique_ptr<MapApi>>> OpenWritable(StoreSlot home, Uuid uuid) = 0;
  virtual Task<Result<std::unique_ptr<MapApi>>> OpenFrozen(StoreSlot home, Uuid uuid) = 0;
  // As of VolumeMap::Reopen.
  virtual Task<Result<std::unique_ptr<MapApi>>> Reopen(StoreSlot home, Uuid uuid,
                                                       uint32_t generation) = 0;
};

class LocalMapOpener final : public MapOpener {
 public:
  // Both outlive it and what it opens.
  LocalMapOpener(Env* env, StoreSet* stores) : env_(env), stores_(stores) {}
  Task<Result<std::unique_ptr<MapApi>>> OpenWritable(StoreSlot home, Uuid uuid) override;
  Task<Result<std::unique_ptr<MapApi>>> OpenFrozen(StoreSlot home, Uuid uuid) override;
  Task<Result<std::unique_ptr<MapApi>>> Reopen(StoreSlot home, Uuid uuid,
                                               uint32_t generation) override;

 private:
  Env* env_;
  StoreSet* stores_;
};

}  // namespace atl
