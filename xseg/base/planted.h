// SPDX-License-Identifier: Apache-2.0
//
// Bugs that are planted on purpose, to see that the simulator finds them (docs/simulator.md). Only
// the test that looks for them compiles them in, one at a time; elsewhere `Has` is a constant and
// nothing of them is left.
//
//   if (!planted::Has(planted::Bug::kNoBlobSync)) CO_RETURN_IF_ERROR(co_await store.Sync(blob));
#pragma once

#include <cstdint>

namespace atl::planted {

enum class Bug : uint8_t {
  kNone,
  kNoBlobSync,       // A barrier is written over data that was not synced.
  kNoJournalSync,    // A barrier is taken for durable that was not synced.
  kLostEntry,        // A change of the map is acknowledged, and is not in the journal.
  kStaleGeneration,  // A header is changed by a holder that was sealed out.
  kPinWithoutFlush,  // A header names bytes that were not synced.
  kUnsyncedLog,      // A flush is acknowledged for a record that is not durable.
  kNoMark,           // The write log counts for what a sync has made durable in a newer state.
  kNoReplay,         // The write log is not looked at after a loss of power.
};

#ifdef ATOLL_PLANTED_BUGS
bool Has(Bug bug);
#else
constexpr bool Has(Bug /*bug*/) { return false; }
#endif

}  // namespace atl::planted
