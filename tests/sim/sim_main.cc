// SPDX-License-Identifier: Apache-2.0
//
// atoll_sim [--seed N] [--seeds K] [--for 60s] [-j JOBS] [--trace]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "tests/sim/campaign.h"

namespace {

constexpr const char* kUsage =
    "usage: ./dev sim [--seed N] [--seeds K] [--for 60s] [-j JOBS] [--trace]\n"
    "\n"
    "  --seed N    this seed alone, step by step; with --seeds or --for the first one\n"
    "  --seeds K   so many (default 2000)\n"
    "  --for T     for so long: 60s, 10m, 2h\n"
    "  -j JOBS     in so many processes (default: one a core)\n"
    "  --trace     prints each step of each seed\n";

std::optional<double> ParseDuration(const char* text) {
  char* end = nullptr;
  const double number = std::strtod(text, &end);
  const std::string_view unit(end);
  if (end == text || number <= 0) return std::nullopt;
  if (unit.empty() || unit == "s") return number;
  if (unit == "m") return number * 60;
  if (unit == "h") return number * 3600;
  return std::nullopt;
}

std::optional<uint64_t> ParseNumber(const char* text) {
  char* end = nullptr;
  const uint64_t number = std::strtoull(text, &end, 0);
  if (end == text || *end != 0) return std::nullopt;
  return number;
}

// False if the arguments make no sense.
bool Parse(int argc, char** argv, atl::sim::Campaign* campaign) {
  std::optional<uint64_t> seed, seeds;
  std::optional<double> seconds;
  std::optional<uint64_t> jobs;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--trace") {
      campaign->traces = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    if (option == "--seed") {
      if (!(seed = ParseNumber(value))) return false;
    } else if (option == "--seeds") {
      if (!(seeds = ParseNumber(value)) || *seeds == 0) return false;
    } else if (option == "--for") {
      if (!(seconds = ParseDuration(value))) return false;
    } else if (option == "-j") {
      if (!(jobs = ParseNumber(value)) || *jobs == 0 || *jobs > 256) return false;
    } else {
      return false;
    }
  }
  const bool alone = seed && !seeds && !seconds;
  campaign->first = seed.value_or(1);
  campaign->count = alone ? 1 : seeds.value_or(2000);
  campaign->seconds = seeds ? 0 : seconds.value_or(0);
  campaign->traces |= alone;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  campaign->jobs = alone ? 1 : jobs ? static_cast<int>(*jobs) : cores;
  if (campaign->jobs < 1) campaign->jobs = 1;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  atl::sim::Campaign campaign;
  campaign.progress = true;
  if (!Parse(argc, argv, &campaign)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const atl::sim::Outcome outcome = atl::sim::RunCampaign(campaign);
  if (outcome.failed) {
    std::printf("%s\n", outcome.what.c_str());
    std::printf("./dev sim --seed %llu\n", static_cast<unsigned long long>(outcome.seed));
    return 1;
  }
  std::printf("%llu seeds from %llu, %.0f s, %.1f seeds/s, nothing found\n",
              static_cast<unsigned long long>(outcome.seeds),
              static_cast<unsigned long long>(campaign.first), outcome.seconds,
              static_cast<double>(outcome.seeds) / outcome.seconds);
  return 0;
}
