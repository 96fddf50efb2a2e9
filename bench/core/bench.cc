// SPDX-License-Identifier: Apache-2.0
#include "bench/core/bench.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "peers/store/file/file_store.h"

namespace atl::core_bench {
namespace {

constexpr int kDepth = 32;

Task<void> WriteOne(Device* device, uint64_t offset, Bytes data) {
  const Status status = co_await device->Write(offset, data, {});
  CHECK(status.ok()) << status.ToString();
}

}  // namespace

Bench::Bench(const std::string& folder, bool watch_syncs) : maps(&executor, &stores) {
  if (watch_syncs) syncs.emplace();
  FileStoreOptions options;
  options.name = "default";
  options.path = folder;
  options.create = true;
  auto opened = FileStore::Open(executor, options);
  CHECK(opened.ok()) << opened.status().ToString();
  auto filter = std::make_unique<CheckedFilter>(*std::move(opened));
  counter = filter.get();
  stores.Add(std::move(filter));
  identity.incarnation = executor.NewUuid();
  identity.node = "bench";
  IdentifyProcess(&identity);
  atoll = std::make_unique<LocalAtoll>(&executor, &stores, &maps, &buffers, identity);
}

Task<void> Bench::Create(std::string name, uint64_t size) {
  CreateSpec spec;
  spec.uuid = executor.NewUuid();
  spec.name = std::move(name);
  spec.size = size;
  const auto made = co_await atoll->Create(spec);
  CHECK(made.ok()) << made.status().ToString();
}

Task<void> Bench::Clone(std::string name, std::string snapshot) {
  CreateSpec spec;
  spec.uuid = executor.NewUuid();
  spec.name = std::move(name);
  spec.from = ResourceRef::Named(std::move(snapshot));
  const auto made = co_await atoll->Create(spec);
  CHECK(made.ok()) << made.status().ToString();
}

Task<void> Bench::Snap(std::string volume, std::string name) {
  SnapshotSpec spec;
  spec.uuid = executor.NewUuid();
  spec.volume = ResourceRef::Named(std::move(volume));
  spec.name = std::move(name);
  const auto made = co_await atoll->Snapshot(spec);
  CHECK(made.ok()) << made.status().ToString();
}

Task<void> Bench::Remove(std::string name) {
  const ResourceRef ref = ResourceRef::Named(std::move(name));
  const Status status = co_await atoll->Remove(ref);
  CHECK(status.ok()) << status.ToString();
}

Task<std::unique_ptr<Device>> Bench::Open(std::string name) {
  const ResourceRef ref = ResourceRef::Named(std::move(name));
  auto device = co_await atoll->Open(ref, OpenMode::kReadWrite);
  CHECK(device.ok()) << device.status().ToString();
  co_return *std::move(device);
}

Task<void> Bench::CloseVolume(std::string name) {
  const ResourceRef ref = ResourceRef::Named(std::move(name));
  const Status status = co_await atoll->Release(ref);
  CHECK(status.ok()) << status.ToString();
}

Task<void> Bench::RandomWrites(Device* device, uint64_t span, uint64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes data(kSubGrain);
  for (uint64_t done = 0; done < count;) {
    TaskGroup group;
    for (int i = 0; i < kDepth && done < count; ++i, ++done) {
      const uint64_t offset = random() % (span / kSubGrain) * kSubGrain;
      const uint64_t mark = seed * 1'000'003 + done;
      std::memcpy(data.data(), &mark, sizeof(mark));
      group.Run(WriteOne(device, offset, data));
    }
    co_await group.Join();
  }
  const Status status = co_await device->Flush();
  CHECK(status.ok()) << status.ToString();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace atl::core_bench
