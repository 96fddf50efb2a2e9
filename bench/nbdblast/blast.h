// SPDX-License-Identifier: Apache-2.0
//
// Load for an NBD server from one connection that keeps `depth` requests in flight, with as little
// of a client as possible, so that it is the server that is measured: all requests that can be sent
// leave in one sendmsg, with the next recv that is one system call, and what a read brings is not
// looked at.
//
//   recv --> parse replies --> each frees a slot --> one sendmsg for all freed slots
//
// Threads: one, which it blocks.
#pragma once

#include <cstdint>

#include "bench/nbdblast/greeting.h"
#include "xseg/base/latency.h"
#include "xseg/base/units.h"

namespace atl::nbdblast {

enum class Pattern : uint8_t { kRandom, kSequential };

struct Load {
  bool writes = false;
  Pattern pattern = Pattern::kRandom;
  uint32_t block = 4 * kKiB;
  uint32_t depth = 32;
  uint64_t span = 0;         // Of the export, from its start; 0: all of it.
  bool fua = false;          // Writes only.
  uint32_t flush_every = 0;  // A flush after so many requests; 0: none.
  int64_t ramp_ns = 0;       // Before anything is counted.
  int64_t duration_ns = kSecond;
  uint64_t requests = 0;  // Ends after so many, not by time; 0: no limit.
  uint64_t seed = 1;
};

struct Outcome {
  uint64_t requests = 0;  // Answered, flushes included.
  uint64_t flushes = 0;
  uint64_t bytes = 0;
  uint64_t errors = 0;  // Requests that the server answered with an error.
  uint64_t sends = 0;   // System calls' worth of batches.
  int64_t took_ns = 0;
  LatencySnapshot latency;
};

// Runs `load` to its end; every request that was begun is answered then. An error is of the
// connection, or of a load that does not fit the export.
Result<Outcome> Blast(const Export& target, const Load& load);

}  // namespace atl::nbdblast
