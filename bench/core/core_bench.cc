// SPDX-License-Identifier: Apache-2.0
//
// What operations on volumes cost, on the file driver in one process:
//
//   core_bench FOLDER ops            snapshot, clone, remove and open of 1 GiB and of 64 TiB
//   core_bench FOLDER chain          500 snapshots: read speed, open time, every one read back
//   core_bench FOLDER amplification  bytes stored for 10,000 random 4 KiB writes after a snapshot
//   core_bench FOLDER open           100,000 random writes in 1 TiB: open time, size of the map
//
// FOLDER is made, used and removed. Times are medians; sizes are the file system's own counts.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <vector>

#include "peers/mapper/map_opener.h"
#include "peers/store/file/file_store.h"
#include "peers/store/filter/checked_filter.h"
#include "peers/volumes/local_atoll.h"
#include "peers/volumes/reach.h"
#include "xseg/base/crc32c.h"
#include "xseg/base/executor.h"

namespace atl {
namespace {

struct Bench {
  explicit Bench(const std::string& folder) : maps(&executor, &stores) {
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

  double Ms(int64_t since_ns) { return static_cast<double>(executor.BootNs() - since_ns) / 1e6; }

  Task<void> Create(std::string name, uint64_t size) {
    CreateSpec spec;
    spec.uuid = executor.NewUuid();
    spec.name = std::move(name);
    spec.size = size;
    const auto made = co_await atoll->Create(spec);
    CHECK(made.ok()) << made.status().ToString();
  }
  Task<void> Clone(std::string name, std::string snapshot) {
    CreateSpec spec;
    spec.uuid = executor.NewUuid();
    spec.name = std::move(name);
    spec.from = ResourceRef::Named(std::move(snapshot));
    const auto made = co_await atoll->Create(spec);
    CHECK(made.ok()) << made.status().ToString();
  }
  Task<void> Snap(std::string volume, std::string name) {
    SnapshotSpec spec;
    spec.uuid = executor.NewUuid();
    spec.volume = ResourceRef::Named(std::move(volume));
    spec.name = std::move(name);
    const auto made = co_await atoll->Snapshot(spec);
    CHECK(made.ok()) << made.status().ToString();
  }
  Task<void> Remove(std::string name) {
    const ResourceRef ref = ResourceRef::Named(std::move(name));
    const Status status = co_await atoll->Remove(ref);
    CHECK(status.ok()) << status.ToString();
  }
  Task<std::unique_ptr<Device>> Open(std::string name) {
    const ResourceRef ref = ResourceRef::Named(std::move(name));
    auto device = co_await atoll->Open(ref, OpenMode::kReadWrite);
    CHECK(device.ok()) << device.status().ToString();
    co_return *std::move(device);
  }
  Task<void> CloseVolume(std::string name) {
    const ResourceRef ref = ResourceRef::Named(std::move(name));
    const Status status = co_await atoll->Release(ref);
    CHECK(status.ok()) << status.ToString();
  }
  // `count` writes of 4 KiB at random places of [0, span), `depth` at a time, then a flush.
  Task<void> RandomWrites(Device* device, uint64_t span, uint64_t count, uint64_t seed,
                          int depth = 32) {
    std::mt19937_64 random(seed);
    Bytes data(kSubGrain);
    for (uint64_t done = 0; done < count;) {
      TaskGroup group;
      for (int i = 0; i < depth && done < count; ++i, ++done) {
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
  static Task<void> WriteOne(Device* device, uint64_t offset, Bytes data) {
    const Status status = co_await device->Write(offset, data, {});
    CHECK(status.ok()) << status.ToString();
  }
  Composer& ComposerOf(Device* device) {
    return *atoll->open_table().Find(device->info().uuid)->composer;
  }

  Executor executor;
  StoreSet stores;
  CheckedFilter* counter = nullptr;
  LocalMapOpener maps;
  HeapBufferPool buffers{64 * kMiB};
  NodeIdentity identity;
  std::unique_ptr<LocalAtoll> atoll;
};

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

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

// --- ops -----------------------------------------------------------------------------------------

struct OpCosts {
  std::vector<double> snapshot, gate, clone, remove, open;
  uint64_t snapshot_bytes = 0, clone_bytes = 0, remove_bytes = 0, open_bytes = 0;
};

Task<void> MeasureOps(Bench* bench, std::string name, OpCosts* costs, int round) {
  auto device = co_await bench->Open(name);
  co_await bench->RandomWrites(device.get(), kGiB, 64, static_cast<uint64_t>(round) + 1);
  const std::string snapshot = fmt::format("{}@{}", name, round);
  const std::string clone = fmt::format("{}-clone{}", name, round);
  const auto measure = [bench](uint64_t* bytes) {
    bench->counter->ResetCounts();
    (void)bytes;
    return bench->executor.BootNs();
  };
  const auto done = [bench](int64_t began, std::vector<double>* times, uint64_t* bytes) {
    times->push_back(bench->Ms(began));
    *bytes = std::max(*bytes, bench->counter->stored_bytes());
  };
  int64_t began = measure(&costs->snapshot_bytes);
  co_await bench->Snap(name, snapshot);
  done(began, &costs->snapshot, &costs->snapshot_bytes);
  costs->gate.push_back(static_cast<double>(bench->ComposerOf(device.get()).last_gate_ns()) / 1e6);
  co_await device->Close();
  co_await bench->CloseVolume(name);

  began = measure(&costs->clone_bytes);
  co_await bench->Clone(clone, snapshot);
  done(began, &costs->clone, &costs->clone_bytes);

  began = measure(&costs->open_bytes);
  device = co_await bench->Open(name);
  std::byte byte;
  const Status read = co_await device->Read(0, {&byte, 1});
  CHECK(read.ok()) << read.ToString();
  done(began, &costs->open, &costs->open_bytes);
  co_await device->Close();

  began = measure(&costs->remove_bytes);
  co_await bench->Remove(clone);
  done(began, &costs->remove, &costs->remove_bytes);
}

Task<void> RunOps(Bench* bench) {
  constexpr int kRounds = 41;
  OpCosts small, large;
  co_await bench->Create("small", kGiB);
  co_await bench->Create("large", 64 * kTiB);
  for (int round = 0; round < kRounds; ++round) {  // Interleaved: this machine is noisy.
    co_await MeasureOps(bench, "small", &small, round);
    co_await MeasureOps(bench, "large", &large, round);
  }
  const auto row = [](const char* what, const std::vector<double>& a, const std::vector<double>& b,
                      uint64_t bytes_a, uint64_t bytes_b) {
    fmt::print("{:<22} {:>9.3f} {:>9.3f} {:>7.2f} {:>8} {:>8}\n", what, Median(a), Median(b),
               Median(b) / Median(a), bytes_a, bytes_b);
  };
  fmt::print("{:<22} {:>9} {:>9} {:>7} {:>8} {:>8}\n", "median ms of 41", "1 GiB", "64 TiB",
             "ratio", "bytes", "bytes");
  row("snapshot", small.snapshot, large.snapshot, small.snapshot_bytes, large.snapshot_bytes);
  row("  gate closed", small.gate, large.gate, 0, 0);
  row("clone", small.clone, large.clone, small.clone_bytes, large.clone_bytes);
  row("open and read", small.open, large.open, small.open_bytes, large.open_bytes);
  row("remove", small.remove, large.remove, small.remove_bytes, large.remove_bytes);
}

// --- chain ---------------------------------------------------------------------------------------

constexpr uint64_t kChainSpan = 64 * kMiB;
constexpr int kChainLength = 500;

Task<double> ReadsPerSecond(Bench* bench, Device* device, uint64_t seed) {
  constexpr int kReads = 40'000;
  std::mt19937_64 random(seed);
  Bytes out(kSubGrain);
  const int64_t began = bench->executor.BootNs();
  for (int i = 0; i < kReads; ++i) {
    if (i % 1024 == 0) co_await Yield();  // Nothing here waits, and the lease wants to be renewed.
    const uint64_t offset = random() % (kChainSpan / kSubGrain) * kSubGrain;
    const Status status = co_await device->Read(offset, out);
    CHECK(status.ok()) << status.ToString();
  }
  co_return kReads / (bench->Ms(began) / 1e3);
}

Task<void> Fill(Device* device, Bytes* image) {
  std::mt19937_64 random(99);
  for (size_t i = 0; i < image->size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(image->data() + i, &word, 8);
  }
  for (uint64_t at = 0; at < image->size(); at += kMiB) {
    const Status status = co_await device->Write(at, ConstSpan(*image).subspan(at, kMiB), {});
    CHECK(status.ok()) << status.ToString();
  }
}

Task<void> RunChain(Bench* bench) {
  Bytes image(kChainSpan);
  co_await bench->Create("flat", kGiB);
  co_await bench->Create("chain", kGiB);
  auto flat = co_await bench->Open("flat");
  co_await Fill(flat.get(), &image);
  auto chain = co_await bench->Open("chain");
  co_await Fill(chain.get(), &image);
  std::mt19937_64 random(7);
  std::vector<uint32_t> checksums;
  Bytes data(kSubGrain);
  for (int i = 0; i < kChainLength; ++i) {
    checksums.push_back(Crc32c(image));
    co_await bench->Snap("chain", fmt::format("chain@{}", i));
    for (int write = 0; write < 64; ++write) {
      const uint64_t offset = random() % (kChainSpan / kSubGrain) * kSubGrain;
      for (size_t at = 0; at < data.size(); at += 8) {
        const uint64_t word = random();
        std::memcpy(data.data() + at, &word, 8);
      }
      std::ranges::copy(data, image.begin() + static_cast<ptrdiff_t>(offset));
      const Status status = co_await chain->Write(offset, data, {});
      CHECK(status.ok()) << status.ToString();
    }
  }
  const Status flushed = co_await chain->Flush();
  CHECK(flushed.ok()) << flushed.ToString();
  std::vector<double> ratios, flat_rates, chain_rates;
  for (uint64_t round = 0; round < 7; ++round) {
    flat_rates.push_back(co_await ReadsPerSecond(bench, flat.get(), round));
    chain_rates.push_back(co_await ReadsPerSecond(bench, chain.get(), round));
    ratios.push_back(chain_rates.back() / flat_rates.back());
  }
  const auto sources = co_await bench->atoll->Show(ResourceRef::Named("chain"), false);
  fmt::print(
      "chain of {}: {} sources; 4 KiB random reads/s: flat {:.0f}, chain {:.0f}, ratio {:.3f}\n",
      kChainLength, sources.ok() ? sources->sources : 0, Median(flat_rates), Median(chain_rates),
      Median(ratios));
  co_await chain->Close();
  co_await bench->CloseVolume("chain");
  std::vector<double> opens;
  for (int i = 0; i < 11; ++i) {
    const int64_t began = bench->executor.BootNs();
    chain = co_await bench->Open("chain");
    const Status status = co_await chain->Read(0, data);
    CHECK(status.ok()) << status.ToString();
    opens.push_back(bench->Ms(began));
    co_await chain->Close();
    co_await bench->CloseVolume("chain");
  }
  fmt::print("chain: opens in {:.3f} ms (median of 11)\n", Median(opens));
  int wrong = 0;
  Bytes read(kChainSpan);
  for (int i = 0; i < kChainLength; ++i) {
    const std::string name = fmt::format("chain@{}", i);
    auto device = co_await bench->Open(name);
    for (uint64_t at = 0; at < read.size(); at += kMiB) {
      const Status status = co_await device->Read(at, MutSpan(read).subspan(at, kMiB));
      CHECK(status.ok()) << name << ": " << status.ToString();
    }
    wrong += Crc32c(read) != checksums[static_cast<size_t>(i)];
    co_await device->Close();
    co_await bench->CloseVolume(name);
  }
  fmt::print("chain: {} of {} snapshots read back exactly\n", kChainLength - wrong, kChainLength);
}

// --- amplification -------------------------------------------------------------------------------

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

// --- open ----------------------------------------------------------------------------------------

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

Task<int> Run(Bench* bench, std::string folder, std::string area) {
  if (area == "ops") co_await RunOps(bench);
  if (area == "chain") co_await RunChain(bench);
  if (area == "amplification") co_await RunAmplification(bench, folder);
  if (area == "open") co_await RunOpen(bench);
  (void)co_await bench->atoll->Shutdown();
  co_await bench->stores.at(0).Close();
  co_return 0;
}

}  // namespace
}  // namespace atl

int main(int argc, char** argv) {
  const std::string area = argc == 3 ? argv[2] : "";
  if (area != "ops" && area != "chain" && area != "amplification" && area != "open") {
    fmt::print(stderr, "usage: core_bench FOLDER ops|chain|amplification|open\n");
    return 2;
  }
  const std::string folder = argv[1];
  if (std::filesystem::exists(folder)) {
    fmt::print(stderr, "core_bench: {} exists\n", folder);
    return 1;
  }
  int code;
  {
    atl::Bench bench(folder);
    code = bench.executor.RunUntilDone(atl::Run(&bench, folder, area));
  }
  std::filesystem::remove_all(folder);
  return code;
}
