// SPDX-License-Identifier: Apache-2.0
//
// A store in a folder of its own, and libatoll over it in this process: what each area of
// core_bench works with. What fails ends the process.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/core/sync_watch.h"
#include "peers/mapper/map_opener.h"
#include "peers/store/filter/checked_filter.h"
#include "peers/volumes/local_atoll.h"
#include "xseg/base/executor.h"

namespace atl::core_bench {

struct Bench {
  // Syncs are counted if that is wanted: it costs each system call of the driver a little.
  Bench(const std::string& folder, bool watch_syncs);

  double Ms(int64_t since_ns) { return static_cast<double>(executor.BootNs() - since_ns) / 1e6; }

  Task<void> Create(std::string name, uint64_t size);
  Task<void> Clone(std::string name, std::string snapshot);
  Task<void> Snap(std::string volume, std::string name);
  Task<void> Remove(std::string name);
  Task<std::unique_ptr<Device>> Open(std::string name);
  Task<void> CloseVolume(std::string name);
  // `count` writes of 4 KiB at random places of [0, span), 32 at a time, then a flush.
  Task<void> RandomWrites(Device* device, uint64_t span, uint64_t count, uint64_t seed);
  Composer& ComposerOf(Device* device) {
    return *atoll->open_table().Find(device->info().uuid)->composer;
  }

  std::optional<SyncWatch> syncs;  // First, since it must outlive whoever makes system calls.
  Executor executor;
  StoreSet stores;
  CheckedFilter* counter = nullptr;
  LocalMapOpener maps;
  HeapBufferPool buffers{64 * kMiB};
  NodeIdentity identity;
  std::unique_ptr<LocalAtoll> atoll;
};

double Median(std::vector<double> values);

}  // namespace atl::core_bench
