// SPDX-License-Identifier: Apache-2.0
//
// What there is to measure, by name, and how one is measured.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/ipc/pair.h"

namespace atl::pingpong {

inline constexpr int kInFlight = 32;  // Of those that are about throughput.

struct Measurement {
  std::string name;
  std::string base;  // The one that a table compares it with; itself, if it is that one.
  Manner manner;
  int share;  // It has this part of the round trips that are asked for, being slower.
  std::function<Game(int rounds)> make;
};

// Those that this machine has enough CPUs for.
const std::vector<Measurement>& AllMeasurements();
// Null if there is none of that name.
const Measurement* FindMeasurement(const std::string& name);

struct Figure {
  double ns = 0;  // For each round trip: the median of the undisturbed runs.
  int runs = 0;
  int undisturbed = 0;  // If there were hardly any, the fastest count.
};
// Runs have `rounds` round trips, divided by the measurement's share.
Figure Take(const Measurement& measurement, int rounds);

}  // namespace atl::pingpong
