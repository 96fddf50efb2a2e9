// SPDX-License-Identifier: Apache-2.0
//
// Where the time of a volume's requests goes: a latency histogram for each hop inside of the
// composer. For `atoll trace`.
//
// Threads: written by the composer's thread, readable by any (xseg/base/latency.h).
#pragma once

#include <array>
#include <string_view>

#include "xseg/base/env.h"
#include "xseg/base/latency.h"

namespace atl {

enum class Hop : uint8_t {
  kRead,   // A whole read, as the front end sees it.
  kWrite,  // A whole write, discard or zeroing.
  kFlush,  // A whole flush.
  kOrder,  // Waiting for the gate and for overlapping requests.
  kMap,    // Finding out where things are.
  kStoreRead,
  kStoreWrite,
  kJournal,  // Until a change of the map was appended.
  kSync,     // Syncs of the blob and of the journal.
};
inline constexpr size_t kHops = 9;
inline constexpr std::array<std::string_view, kHops> kHopNames = {
    "read", "write", "flush", "order", "map", "store read", "store write", "journal", "sync"};

class HopTimes {
 public:
  LatencyHistogram& of(Hop hop) { return histograms_[static_cast<size_t>(hop)]; }
  const LatencyHistogram& of(Hop hop) const { return histograms_[static_cast<size_t>(hop)]; }

 private:
  std::array<LatencyHistogram, kHops> histograms_{};
};

// Counts the time until it goes out of scope.
class HopTimer {
 public:
  HopTimer(Env* env, HopTimes* times, Hop hop)
      : env_(env), histogram_(&times->of(hop)), began_ns_(env->StampNs()) {}
  ~HopTimer() { histogram_->Record(env_->StampNs() - began_ns_); }
  HopTimer(const HopTimer&) = delete;
  HopTimer& operator=(const HopTimer&) = delete;

 private:
  Env* env_;
  LatencyHistogram* histogram_;
  int64_t began_ns_;
};

}  // namespace atl
