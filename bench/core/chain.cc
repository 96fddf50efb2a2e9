// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "bench/core/areas.h"
#include "xseg/base/crc32c.h"

namespace atl::core_bench {
namespace {

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
}  // namespace

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

}  // namespace atl::core_bench
