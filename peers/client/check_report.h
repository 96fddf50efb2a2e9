// SPDX-License-Identifier: Apache-2.0
//
// What `atoll check` and `atoll scrub` are asked, and what they answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atl {

enum class Severity : uint8_t {
  kNote = 1,   // Unusual and harmless: something to finish, or left by the dead.
  kError = 2,  // Something is damaged, lost, or contradicts something else.
};
std::string_view ToString(Severity severity);

struct Finding {
  Severity severity = Severity::kError;
  std::string store;
  std::string resource;     // Its name, or its uuid where no name is known. Empty: the store's own.
  std::string what;         // Names the thing, and says what is wrong with it.
  bool repairable = false;  // By --repair, losing nothing.
  bool repaired = false;
};

// What no resource names any more, and what garbage collection would free or has freed.
struct GarbageCount {
  bool known = false;  // It is not told while something is damaged.
  uint64_t blobs = 0;
  uint64_t logs = 0;
  uint64_t records = 0;
  uint64_t leftovers = 0;
  uint64_t bytes = 0;
};

struct CheckReport {
  // What was looked at.
  uint64_t resources = 0;
  uint64_t records = 0;
  uint64_t nodes = 0;
  uint64_t journals = 0;
  uint64_t blobs = 0;
  // What was found; repaired ones are counted as repaired only.
  uint64_t errors = 0;
  uint64_t notes = 0;
  uint64_t repaired = 0;
  GarbageCount garbage;
  std::vector<Finding> findings;  // At most kMaxFindings of them.
};
inline constexpr size_t kMaxFindings = 1'000;

enum class ScrubAction : uint8_t {
  kStatus = 0,
  kStart = 1,
  kCancel = 2,
  kAbort = 3,  // Of a node that stops: a check that is under way ends, too.
};
enum class ScrubState : uint8_t { kNever = 0, kRunning = 1, kDone = 2, kCancelled = 3 };
std::string_view ToString(ScrubState state);

// The rate of one that is not given, and the lowest one.
inline constexpr uint64_t kScrubRate = uint64_t{64} << 20;
inline constexpr uint64_t kMinScrubRate = uint64_t{64} << 10;

struct ScrubStatus {
  ScrubState state = ScrubState::kNever;
  std::string resource;      // Empty: all.
  uint64_t rate = 0;         // Bytes a second at most.
  uint64_t done_bytes = 0;   // Of data.
  uint64_t total_bytes = 0;  // As counted when it began.
  int64_t started_ns = 0;    // Since 1970 UTC.
  int64_t ended_ns = 0;      // 0: it runs.
  CheckReport report;        // So far.
};

}  // namespace atl
