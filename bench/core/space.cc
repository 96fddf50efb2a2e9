// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "bench/core/areas.h"
#include "peers/volumes/reach.h"

namespace atl::core_bench {
namespace {

uint64_t BytesOnDisk(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == "reserve") continue;
    struct stat info;
    if (lstat(entry.path().c_str(), &info) == 0) {
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
  }
  return bytes;
}
Task<uint64_t> MapBytes(Bench* bench, std::string name) {
  uint64_t bytes = 0;
  const ResourceRef ref = ResourceRef::Named(name);
  const auto info = co_await bench->atoll->Show(ref, false);
  CHECK(info.ok()) << info.status().ToString();
  const auto header = co_await ReadHeader(&bench->stores.at(0), info->uuid, ReadFor::kLook);
  CHECK(header.ok());
  Reach reach;
  CHECK((co_await AddReachOf(&bench->stores, header->header, &reach)).ok());
  for (const LogId& log : reach.logs) {
    const auto usage = co_await bench->stores.at(0).LogUsage(log);
    if (usage.ok()) bytes += *usage;
  }
  co_return bytes;
}
}  // namespace

Task<void> RunAmplification(Bench* bench, std::string folder) {
  constexpr uint64_t kWrites = 10'000;
  constexpr uint64_t kBytes = kWrites * kSubGrain;
  const auto report = [&](const std::string& what, uint64_t before) {
    const uint64_t stored = BytesOnDisk(folder) - before;
    fmt::print("{:<44} {:>6.3f}\n", what, static_cast<double>(stored) / kBytes);
  };
  fmt::print("{:<44} {:>6}\n", "10,000 random 4 KiB writes after a snapshot", "stored/written");
  struct Case {
    std::string name;
    uint64_t size;
  };
  const std::vector<Case> cases = {{"1 GiB", kGiB}, {"64 TiB", 64 * kTiB}};
  for (const Case& one : cases) {
    const std::string name = one.size == kGiB ? "small" : "large";
    co_await bench->Create(name, one.size);
    auto device = co_await bench->Open(name);
    co_await bench->RandomWrites(device.get(), std::min(one.size, kGiB), 20'000, 5);
    co_await bench->Snap(name, name + "@0");
    uint64_t before = BytesOnDisk(folder);
    co_await bench->RandomWrites(device.get(), one.size, kWrites, 6);
    report(one.name + ", after the flush", before);
    co_await device->Close();
    co_await bench->CloseVolume(name);
    report(one.name + ", after a close", before);
    device = co_await bench->Open(name);
    for (int i = 1; i <= 20; ++i) co_await bench->Snap(name, fmt::format("{}@{}", name, i));
    before = BytesOnDisk(folder);
    co_await bench->RandomWrites(device.get(), one.size, kWrites, 7);
    report(one.name + ", after 20 more snapshots", before);
    co_await device->Close();
    co_await bench->CloseVolume(name);
    report(one.name + ", after 20 more and a close", before);
  }
}

Task<void> RunOpen(Bench* bench) {
  co_await bench->Create("v", kTiB);
  auto device = co_await bench->Open("v");
  co_await bench->RandomWrites(device.get(), kGiB, 1000, 1);
  co_await bench->Snap("v", "v@0");
  co_await bench->RandomWrites(device.get(), kTiB, 100'000, 2);
  co_await device->Close();
  co_await bench->CloseVolume("v");
  std::vector<double> opens;
  Bytes out(kSubGrain);
  for (int i = 0; i < 11; ++i) {
    const int64_t began = bench->executor.BootNs();
    device = co_await bench->Open("v");
    const Status status = co_await device->Read(static_cast<uint64_t>(i) * kGiB, out);
    CHECK(status.ok()) << status.ToString();
    opens.push_back(bench->Ms(began));
    co_await device->Close();
    co_await bench->CloseVolume("v");
  }
  fmt::print(
      "1 TiB after 100,000 random writes: opens in {:.3f} ms (median of 11), map {:.2f} MiB\n",
      Median(opens), static_cast<double>(co_await MapBytes(bench, "v")) / kMiB);
  co_await bench->Create("huge", kPiB);
  opens.clear();
  for (int i = 0; i < 11; ++i) {
    const int64_t began = bench->executor.BootNs();
    device = co_await bench->Open("huge");
    const Status status = co_await device->Read(kPiB / 2, out);
    CHECK(status.ok()) << status.ToString();
    opens.push_back(bench->Ms(began));
    co_await device->Close();
    co_await bench->CloseVolume("huge");
  }
  fmt::print("untouched 1 PiB: opens in {:.3f} ms (median of 11)\n", Median(opens));
}

}  // namespace atl::core_bench
