// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/core/areas.h"
#include "bench/core/sync_watch.h"

namespace atl::core_bench {
namespace {

struct Cost {
  std::vector<double> ms;
  std::vector<double> outside_ms;  // While no sync was under way.
  std::vector<double> syncs;
  uint64_t most_bytes = 0;
};

constexpr const char* kOperations[] = {"snapshot",      "gate closed by it", "clone",
                                       "open and read", "remove clone",      "remove snapshot"};

// By operation.
using Costs = std::map<std::string, Cost>;

class Meter {
 public:
  explicit Meter(Bench* bench) : bench_(bench) {}

  void Begin() {
    bench_->counter->ResetCounts();
    bench_->syncs->Take();
    began_ns_ = bench_->executor.BootNs();
  }
  void End(Cost* cost) {
    const double ms = bench_->Ms(began_ns_);
    const SyncWatch::Seen seen = bench_->syncs->Take();
    cost->ms.push_back(ms);
    cost->outside_ms.push_back(std::max(0.0, ms - static_cast<double>(seen.ns) / 1e6));
    cost->syncs.push_back(static_cast<double>(seen.syncs));
    cost->most_bytes = std::max(cost->most_bytes, bench_->counter->stored_bytes());
  }

 private:
  Bench* bench_;
  int64_t began_ns_ = 0;
};

// Each with nothing left to be written back: the writes before the snapshot are flushed.
Task<void> MeasureOps(Bench* bench, Meter* meter, std::string name, Costs* costs, int round) {
  auto device = co_await bench->Open(name);
  co_await bench->RandomWrites(device.get(), kGiB, 64, static_cast<uint64_t>(round) + 1);
  const std::string snapshot = fmt::format("{}@{}", name, round);
  const std::string clone = fmt::format("{}-clone{}", name, round);

  meter->Begin();
  co_await bench->Snap(name, snapshot);
  meter->End(&(*costs)["snapshot"]);
  const auto gate_ns = bench->ComposerOf(device.get()).last_gate_ns();
  (*costs)["gate closed by it"].ms.push_back(static_cast<double>(gate_ns) / 1e6);
  co_await device->Close();
  co_await bench->CloseVolume(name);

  meter->Begin();
  co_await bench->Clone(clone, snapshot);
  meter->End(&(*costs)["clone"]);

  meter->Begin();
  device = co_await bench->Open(name);
  std::byte byte;
  const Status read = co_await device->Read(0, {&byte, 1});
  CHECK(read.ok()) << read.ToString();
  meter->End(&(*costs)["open and read"]);
  co_await device->Close();

  meter->Begin();
  co_await bench->Remove(clone);
  meter->End(&(*costs)["remove clone"]);

  meter->Begin();
  co_await bench->Remove(snapshot);
  meter->End(&(*costs)["remove snapshot"]);
}

double MedianOrZero(const std::vector<double>& values) {
  return values.empty() ? 0 : Median(values);
}

nlohmann::json AsJson(uint64_t size, const Costs& costs) {
  nlohmann::json out = {{"size", size}};
  for (const auto& [what, cost] : costs) {
    out["operations"][what] = {{"ms", MedianOrZero(cost.ms)},
                               {"outside_ms", MedianOrZero(cost.outside_ms)},
                               {"syncs", MedianOrZero(cost.syncs)},
                               {"bytes", cost.most_bytes}};
  }
  return out;
}

void PrintTable(int rounds, const Costs& small, const Costs& large) {
  fmt::print("{:<22} {:>9} {:>9} {:>7} {:>8} {:>8} {:>6} {:>14}\n",
             fmt::format("median ms of {}", rounds), "1 GiB", "64 TiB", "ratio", "bytes", "bytes",
             "syncs", "outside of them");
  for (const char* what : kOperations) {
    const Cost &a = small.at(what), &b = large.at(what);
    fmt::print("{:<22} {:>9.3f} {:>9.3f} {:>7.2f} {:>8} {:>8} {:>6} {:>14.3f}\n", what,
               Median(a.ms), Median(b.ms), Median(b.ms) / Median(a.ms), a.most_bytes, b.most_bytes,
               MedianOrZero(a.syncs), MedianOrZero(a.outside_ms));
  }
}

}  // namespace

Task<void> RunOps(Bench* bench, OpsOptions options) {
  Meter meter(bench);
  Costs small, large;
  co_await bench->Create("small", kGiB);
  co_await bench->Create("large", 64 * kTiB);
  for (int round = 0; round < options.rounds; ++round) {  // Interleaved: this machine is noisy.
    co_await MeasureOps(bench, &meter, "small", &small, round);
    co_await MeasureOps(bench, &meter, "large", &large, round);
  }
  if (options.json) {
    fmt::print("{}\n", nlohmann::json{AsJson(kGiB, small), AsJson(64 * kTiB, large)}.dump());
  } else {
    PrintTable(options.rounds, small, large);
  }
}

}  // namespace atl::core_bench
