// SPDX-License-Identifier: Apache-2.0
#include "bench/ipc/measurements.h"

#include <algorithm>

#include "bench/ipc/bare.h"
#include "bench/ipc/ports.h"
#include "xseg/base/stamp_clock.h"
#include "xseg/base/units.h"

namespace atl::pingpong {
namespace {

constexpr size_t kWantedRuns = 31;
constexpr size_t kLeastUndisturbed = 3;
constexpr int64_t kPatienceNs = kSecond;

constexpr Manner kSpinningApart{Cpus::kTwo, Waits::kSpinning};

void AddSpinning(std::vector<Measurement>* out) {
  const std::string base = "words-spinning";
  const auto add = [&](std::string name, int share, std::function<Game(int)> make) {
    out->push_back({std::move(name), base, kSpinningApart, share, std::move(make)});
  };
  add(base, 3, SharedWords);
  add("port-spinning", 3, [](int rounds) { return Ports(rounds, Waits::kSpinning, 1); });
  add("executors-spinning", 6, [](int rounds) { return Executors(rounds, Waits::kSpinning, 1); });
}

void AddBlocked(Cpus cpus, const std::string& where, std::vector<Measurement>* out) {
  const std::string base = "futex" + where;
  const auto add = [&](const std::string& name, std::function<Game(int)> make) {
    out->push_back({name, base, {cpus, Waits::kBlocked}, 15, std::move(make)});
  };
  add(base, Futexes);
  add("eventfd" + where, EventFds);
  add("sockets" + where, [](int rounds) { return UnixSockets(rounds, 1); });
  add("port-blocked" + where, [](int rounds) { return Ports(rounds, Waits::kBlocked, 1); });
  add("executors-blocked" + where,
      [](int rounds) { return Executors(rounds, Waits::kBlocked, 1); });
}

void AddThroughput(Manner manner, const std::string& where, std::vector<Measurement>* out) {
  const bool blocked = manner.waits == Waits::kBlocked;
  const std::string base = blocked ? "sockets-32" + where : "port-32-spinning";
  const std::string how = blocked ? "-blocked" + where : "-spinning";
  const Waits waits = manner.waits;
  const auto add = [&](const std::string& name, std::function<Game(int)> make) {
    out->push_back({name, base, manner, 1, std::move(make)});
  };
  if (blocked) add(base, [](int rounds) { return UnixSockets(rounds, kInFlight); });
  add("port-32" + how, [waits](int rounds) { return Ports(rounds, waits, kInFlight); });
  add("executors-32" + how, [waits](int rounds) { return Executors(rounds, waits, kInFlight); });
}

std::vector<Measurement> MakeAll() {
  std::vector<Measurement> all;
  AddSpinning(&all);
  AddBlocked(Cpus::kOne, "-one-cpu", &all);
  AddBlocked(Cpus::kTwo, "-two-cpus", &all);
  AddThroughput(kSpinningApart, "", &all);
  AddThroughput({Cpus::kOne, Waits::kBlocked}, "-one-cpu", &all);
  AddThroughput({Cpus::kTwo, Waits::kBlocked}, "-two-cpus", &all);
  if (!HasTwoCpus()) {
    std::erase_if(all, [](const Measurement& one) { return one.manner.cpus == Cpus::kTwo; });
  }
  return all;
}

}  // namespace

const std::vector<Measurement>& AllMeasurements() {
  static const std::vector<Measurement> all = MakeAll();
  return all;
}

const Measurement* FindMeasurement(const std::string& name) {
  for (const Measurement& one : AllMeasurements()) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

Figure Take(const Measurement& measurement, int rounds) {
  rounds = std::max(rounds / measurement.share, kInFlight);
  std::vector<int64_t> all, undisturbed;
  const int64_t until = StampNowNs() + kPatienceNs;
  do {
    for (const Run& run : Play(measurement.make(rounds), measurement.manner)) {
      all.push_back(run.ns);
      if (run.undisturbed) undisturbed.push_back(run.ns);
    }
  } while (undisturbed.size() < kWantedRuns && StampNowNs() < until);
  const bool enough = undisturbed.size() >= kLeastUndisturbed;
  auto& sorted = enough ? undisturbed : all;
  std::ranges::sort(sorted);
  const int64_t middle = sorted[(enough ? sorted.size() : kLeastUndisturbed) / 2];
  return {static_cast<double>(middle) / rounds, static_cast<int>(all.size()),
          static_cast<int>(undisturbed.size())};
}

}  // namespace atl::pingpong
