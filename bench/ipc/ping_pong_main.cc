// SPDX-License-Identifier: Apache-2.0
//
// How long a round trip between two processes takes, over ports and without:
//
//   bench_ping_pong [ROUNDS]               a table of all
//   bench_ping_pong --list                 the names of what can be measured
//   bench_ping_pong --json NAME [ROUNDS]   measures that one: {"ns": ..., "iops": ...}
//
// "spinning": nobody sleeps, each process has a CPU of its own. "blocked": who has nothing to do
// sleeps, both on one CPU or on two. "32": so many requests in flight, else one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "bench/ipc/measurements.h"

namespace atl::pingpong {
namespace {

constexpr int kRounds = 1'000;
constexpr int kMostRounds = 10'000'000;
constexpr int kTurns = 5;

int Usage() {
  fmt::print(stderr, "usage: bench_ping_pong [ROUNDS] | --list | --json NAME [ROUNDS]\n");
  return 2;
}

// 0 if it is no number of rounds.
int ParseRounds(std::string_view text) {
  int rounds = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), rounds);
  if (error != std::errc() || end != text.end()) return 0;
  return rounds > 0 && rounds <= kMostRounds ? rounds : 0;
}

int PrintList() {
  for (const Measurement& one : AllMeasurements()) fmt::print("{}\n", one.name);
  return 0;
}

int PrintOne(const std::string& name, int rounds) {
  const Measurement* measurement = FindMeasurement(name);
  if (measurement == nullptr) {
    fmt::print(stderr, "bench_ping_pong: '{}' cannot be measured here; --list says what can{}\n",
               name, HasTwoCpus() ? "" : ", with one CPU");
    return 2;
  }
  const Figure figure = Take(*measurement, rounds);
  const nlohmann::json out = {{"ns", figure.ns},
                              {"iops", 1e9 / figure.ns},
                              {"runs", figure.runs},
                              {"undisturbed", figure.undisturbed}};
  fmt::print("{}\n", out.dump());
  return 0;
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// In turns, so that what is compared was measured at the same time.
int PrintTable(int rounds) {
  std::map<std::string, std::vector<double>> ns, ratios;
  std::map<std::string, Figure> total;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const Measurement& one : AllMeasurements()) {
      const Figure figure = Take(one, rounds);
      ns[one.name].push_back(figure.ns);
      ratios[one.name].push_back(figure.ns / ns[one.base].back());
      total[one.name].runs += figure.runs;
      total[one.name].undisturbed += figure.undisturbed;
    }
  }
  fmt::print("{:<30} {:>10} {:>7}  {:<20} {}\n", "", "ns", "ratio", "to", "undisturbed runs");
  for (const Measurement& one : AllMeasurements()) {
    fmt::print("{:<30} {:>10.0f} {:>7.2f}  {:<20} {} of {}\n", one.name, Median(ns[one.name]),
               Median(ratios[one.name]), one.base, total[one.name].undisturbed,
               total[one.name].runs);
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) return PrintTable(kRounds);
  if (words[0] == "--list" && words.size() == 1) return PrintList();
  if (words[0] == "--json") {
    if (words.size() < 2 || words.size() > 3) return Usage();
    const int rounds = words.size() == 3 ? ParseRounds(words[2]) : kRounds;
    return rounds == 0 ? Usage() : PrintOne(words[1], rounds);
  }
  const int rounds = words.size() == 1 ? ParseRounds(words[0]) : 0;
  return rounds == 0 ? Usage() : PrintTable(rounds);
}

}  // namespace
}  // namespace atl::pingpong

int main(int argc, char** argv) { return atl::pingpong::Main({argv + 1, argv + argc}); }
