// SPDX-License-Identifier: Apache-2.0
//
// Many seeds, in processes of their own: a seed that ends its process, or never ends, is a failure
// like any other.
#pragma once

#include <cstdint>
#include <string>

namespace atl::sim {

struct Campaign {
  uint64_t first = 1;
  uint64_t count = 1;
  double seconds = 0;  // Not 0: so long, whatever `count` says.
  int jobs = 1;
  bool traces = false;    // Every step of every seed, on stdout.
  bool progress = false;  // A line on stderr now and then.
};

struct Outcome {
  uint64_t seeds = 0;  // That were run.
  double seconds = 0;
  bool failed = false;
  uint64_t seed = 0;  // The smallest one that failed in any process.
  std::string what;   // What was wrong with it.
};

// Ends with the first failure.
Outcome RunCampaign(const Campaign& campaign);

}  // namespace atl::sim
